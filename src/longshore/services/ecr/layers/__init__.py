"""Layers through the API: uploaded in parts, asked about, and handed out by signed URLs."""
