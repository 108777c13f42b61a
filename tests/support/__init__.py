"""Support code of the tests: real servers, a permanent cast, and browsers for the sandbox's pages."""
