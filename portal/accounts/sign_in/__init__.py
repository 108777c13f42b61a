"""Sign-up and sign-in: sessions, trusted browsers, token pairs, sign-in links."""
