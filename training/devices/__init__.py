"""What a run computes on: one process or several, in bf16 or in fp32."""
