"""The sandbox, tested only from outside: through the official SDK and plain HTTP."""
