"""The devices of a run: one process or several, computing in bf16 or in fp32."""
