"""The mechanism under audit: run it, hold it to what every mechanism owes, list its tied outcomes, write it down."""
