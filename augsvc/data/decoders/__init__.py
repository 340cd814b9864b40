"""Decoders by name, and the files that probe them; the decoding itself is `augsvc_client.decoding`."""
