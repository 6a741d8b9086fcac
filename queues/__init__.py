"""The core of Nusku: model, rules and the storage contract. Standard library only."""
