"""The operator's route: index the datasets again."""

import asyncio
from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from augsvc.errors import Forbidden
from augsvc.http.middleware.tokens import TokenStore
from augsvc.http.reload import Reloader
from augsvc.settings import is_loopback


def reload_router(reloader: Reloader, tokens: TokenStore, request_timeout_s: float) -> APIRouter:
    """The route that reloads the datasets."""
    router = APIRouter(prefix="/v1", tags=["catalog"], redirect_slashes=False)

    @router.post(
        "/datasets/reload",
        summary="Index the operator's datasets again",
        responses={202: {"description": "the reload continues; GET /v1/datasets shows its result"}},
    )
    async def reload(request: Request, response: Response) -> dict[str, object]:
        require_operator(request, tokens)
        reloading = asyncio.wrap_future(reloader.request())
        reloading.add_done_callback(lambda done: done.cancelled() or done.exception())  # it is logged
        await asyncio.wait({reloading}, timeout=request_timeout_s / 2)
        if not reloading.done():
            response.status_code = 202
            return {"state": "running", "datasets": []}
        return {"state": "done", "datasets": [asdict(replacement) for replacement in reloading.result()]}

    return router


def require_operator(request: Request, tokens: TokenStore) -> None:
    """Refuses all but an operator's token; without tokens, all but programs on this machine.

    Raises:
        Forbidden.
    """
    if tokens.required:
        if not tokens.is_operator(request.state.client):
            raise Forbidden("this needs an operator's token: one with `operator: true` in the tokens file")
    else:
        require_local(request)


def require_local(request: Request) -> None:
    """Refuses all but programs on this machine.

    Raises:
        Forbidden.
    """
    if "origin" in request.headers or (request.client and not is_loopback(request.client.host)):
        # an origin: some web page in a browser on this machine sends the request
        raise Forbidden("without tokens, only programs on the server's machine may do this; set tokens_file")
