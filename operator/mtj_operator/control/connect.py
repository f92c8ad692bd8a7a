"""Which API server, and as whom: as kubectl finds it, or, in a pod, as its service account."""

from __future__ import annotations

import os
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import kopf
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from mtj_api import JobError


async def configuration() -> Configuration:
    """What ``KUBECONFIG`` names, else the pod's service account, else ``~/.kube/config``.

    A service account's token is read again as the kubelet renews it.

    Raises:
        JobError: there is none of them.
    """
    found = Configuration()
    try:
        if "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=found)
        else:
            await config.load_kube_config(config_file=os.environ.get("KUBECONFIG"), client_configuration=found)
    except config.ConfigException as error:
        raise JobError(
            f"no cluster is configured: {error}",
            where="the operator",
            instead="run it in a pod with a service account, or name a kubeconfig in KUBECONFIG",
        ) from error
    found.proxy = found.proxy or _proxy_to(found.host)
    # Else aiohttp looks for a proxy and for credentials before each call, in another thread each time.
    found.client_session_kwargs = {"trust_env": False, "cookie_jar": aiohttp.DummyCookieJar()}
    return found


async def kopf_login(found: Configuration) -> kopf.ConnectionInfo:
    """The same for kopf, which asks again when a token is refused."""
    header = await found.get_api_key_with_prefix("BearerToken", "authorization") or ""
    scheme, _, token = header.strip().rpartition(" ")
    return kopf.ConnectionInfo(
        server=found.host,
        ca_path=found.ssl_ca_cert,
        ca_data=found.ca_cert_data,
        insecure=not found.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=found.cert_file,
        private_key_path=found.key_file,
        proxy_url=found.proxy,
    )


def _proxy_to(server: str) -> str | None:
    """The proxy that the environment names for a server, if any."""
    parts = urlsplit(server)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)
