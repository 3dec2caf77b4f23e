"""The tables as they were and are, one revision after the other; `runtime.accounts.migrating` runs them."""
