"""The way out of the house: requests and mails to subscribers."""
