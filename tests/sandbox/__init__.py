"""The sandbox, seen only as others see it: through the official SDK and plain HTTP."""
