"""The people's routes, for callers with a secret key."""

from typing import Annotated
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from pydantic import BaseModel, ConfigDict, Field

from beckon.aws.http import answer, note, now_ms, parse, presented_key
from beckon.aws.wiring.access import access
from beckon.aws.wiring.manage import profiles
from beckon.events.wire import MAX_ID_CHARACTERS

type Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS)]


class UserId(BaseModel):
    """The id in a user's path."""

    model_config = ConfigDict(frozen=True)

    id: Id


class ProfileQuery(BaseModel):
    """The anonymous id by which the same person may be known too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anonymous_id: Id | None = None


def add_to(app: APIGatewayHttpResolver) -> None:
    """Add the routes to `app`."""

    @app.get("/v1/users/<user>/profile")
    def show_profile(user: str) -> Response[str]:
        """Return what is known of one person; somebody unknown has an empty profile, not none.

        Whether a person was ever here is no fact that outlives their events, so 404 would come and go by itself, and
        a shop's page needs no case of its own for a first visit.
        """
        now = now_ms()
        caller = access().server(presented_key(app.current_event), now)
        who = parse(UserId, {"id": unquote(user)}).id
        also = parse(ProfileQuery, app.current_event.query_string_parameters).anonymous_id
        keys = access().readable(caller, user=who, anonymous_id=also, user_token=None, now=now)
        found = profiles().profile(caller.shop, keys, now)
        note(events=found.habits.events, whole=found.whole)
        return answer(found.to_record())
