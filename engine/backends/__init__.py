"""Where the operating system is touched: one folder or module per colour, one interface (`base`) for all of them."""
