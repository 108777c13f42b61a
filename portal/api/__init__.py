"""Shared code of JSON calls: authentication, request bodies, responses, rate limits, OpenAPI, health."""
