"""Names that a store may take for one another."""

#: Pairs of a project and the name of something in it. Each row collides where names are joined,
#: cut, escaped or folded.
COLLIDING = [
    [("a/b", "c"), ("a", "b/c"), ("a/b/", "c"), ("", "a/b/c")],
    [("a:b", "c"), ("a", "b:c"), (":a", "b:c"), ("a:", "b:c")],
    [("a\0b", "c"), ("a", "b\0c"), ("a\0", "c"), ("a", "\0c"), ("a", "c"), ("a", "c\0")],
    [("a.b", "c"), ("a", "b.c"), ("a$b", "c"), ("a", "$c"), ("$a", "c")],
    [("{a}", "q"), ("a", "{q}"), ("{a", "q}"), ("}a{", "q"), ("{}a", "q"), ("a", "q")],
    [("a%2Fb", "q"), ("a/b", "q"), ("a%252Fb", "q"), ("a%b", "q"), ("a%", "bq"), ("a_", "q")],
    [("", "q"), (" ", "q"), ("  ", "q"), ("\t", "q"), ("None", "q"), ("0", "q"), ("null", "q")],
    [("a", "q"), ("A", "q"), ("a ", "q"), (" a", "q"), ("a", "Q"), ("a", "q "), ("á", "q")],
    [
        ("\u00e9", "q"),
        ("e\u0301", "q"),
        ("\ufb01", "q"),
        ("fi", "q"),
        ("\u0130", "q"),
        ("i", "q"),
    ],
    [("*", "q"), ("?", "q"), ("[a]", "q"), ("a", "*"), ("a", "?"), ("a", "[q]"), ("_", "q")],
    [("'a'", "q"), ('"a"', "q"), ("a\\", "q"), ("a;--", "q"), ("a\r\n", "q"), ("a\n", "q")],
    [("x" * 256, "q"), ("x" * 255, "q"), ("x" * 255 + "y", "q"), ("\U0001f600" * 64, "q")],
]

#: All of them, each once.
PLACES = list(dict.fromkeys(place for row in COLLIDING for place in row))
