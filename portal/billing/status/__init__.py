"""What customers are told about a subscription: labels, banners, summaries, notifications."""
