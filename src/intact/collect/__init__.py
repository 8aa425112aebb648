"""Machine to records: what this kernel can do, what to hook, and the drain."""
