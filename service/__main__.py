"""`python -m service`: the API at the host and port of the settings, under uvicorn.

Not uvicorn's own command line, which takes no protocol but its own.
"""

import uvicorn

from holdfast.settings import read_settings
from service.connections import PromptRequests, allow_connections

if __name__ == "__main__":
    settings = read_settings()
    allow_connections()
    uvicorn.run(
        "service.app:app",
        factory=True,
        host=settings.host,
        port=settings.port,
        http=PromptRequests,
        ws="none",
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=20,
    )
