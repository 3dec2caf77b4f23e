"""What a fleet is: agents, names, prices, limits, who may ask. `fleet.toml` is written in these words.

Every key of the file is a field here, with its unit, its default and an example, which messages and docs/fleet.md show.
No key of anybody's is a value in here: the file says in which variable or file it lies.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo

from prediction import TokenPrices
from runtime.accounts.names import is_url
from runtime.gateway.requests.preferences import Defaults
from runtime.rounds.records import RoundRules


def _from_file(path: Path, info: ValidationInfo) -> Path:
    """Relative to the folder of the file that names it."""
    folder: Path | None = (info.context or {}).get("folder")
    path = path.expanduser()
    return path if folder is None else folder / path


def _model_from_file(model: str, info: ValidationInfo) -> str:
    return str(_from_file(Path(model), info)) if model.startswith(("./", "../", "/", "~")) else model


Credits = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=1)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
#: Goes into headers, metrics and books.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
#: What clients write as `model`.
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$")]
Written = Annotated[str, StringConstraints(min_length=1)]
Location = Annotated[Path, AfterValidator(_from_file)]


def _books(books: str, info: ValidationInfo) -> str:
    """A URL of PostgreSQL as it stands, anything else as a path."""
    return books if is_url(books) else str(_from_file(Path(books), info))


Books = Annotated[str, StringConstraints(min_length=1), AfterValidator(_books)]


class Section(BaseModel):
    """A table of the file; what it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(Section):
    """Where a key lies: an environment variable, or a file whose first line it is."""

    env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        default=None, examples=['"BIG_KEY"']
    )
    file: Location | None = Field(default=None, examples=['"keys/big"'])


class Prices(Section):
    """An agent's prices, in credits per token."""

    fresh: Credits = Field(examples=["0.0004"], description="a prompt token that is computed")
    cached: Credits = Field(examples=["0.0001"], description="a prompt token that lies in the cache")
    output: Credits = Field(examples=["0.001"], description="a token of the answer")

    def token_prices(self) -> TokenPrices:
        """The same, for the router."""
        return TokenPrices(self.fresh, self.cached, self.output)


class Agent(Section):
    """One engine: launched by us (`model`), a server that runs already (`url`), or none at all (`simulated`)."""

    name: Name = Field(examples=['"small"'])
    model: Annotated[Written, AfterValidator(_model_from_file)] | None = Field(
        default=None,
        examples=['"smollm2-135m"'],
        description="launched: a name of `iemas model list`, a model folder (`./...`) or a hub id; "
        "at a url: the server's own name of it",
    )
    url: Written | None = Field(default=None, examples=['"http://10.0.0.5:8000"'])
    simulated: Written | None = Field(
        default=None,
        examples=['"smollm2-135m-cpu"'],
        description="no model, but its times: a calibration's name, or a .json file of your own",
    )
    key: Secret | None = Field(
        default=None, examples=['{ env = "BIG_KEY" }'], description="what the server at `url` asks for"
    )
    flags: tuple[str, ...] = Field(
        default=(), examples=['["--max-num-seqs", "4"]'], description="more for `vllm serve`"
    )
    port: Port | None = Field(
        default=None, examples=["8101"], description="of a launched server; by default any free one"
    )
    capacity: Count | None = Field(
        default=None, examples=["4"], description="requests at once; by default a launched engine's own number"
    )
    kv_events: Annotated[bool, Field(strict=True)] | Written = Field(
        default=False,
        examples=["true", '"tcp://10.0.0.5:5557"'],
        description="whether a launched server publishes what its cache holds; at a url: where the server does",
    )
    kv_replay: Written | None = Field(
        default=None,
        examples=['"tcp://10.0.0.5:5558"'],
        description="where the server at `url` replays what was missed",
    )
    prices: Prices = Field(examples=["{ fresh = 0.0004, cached = 0.0001, output = 0.001 }"])
    tasks: tuple[Literal["generate", "embed"], ...] = Field(
        default=("generate",), examples=['["generate"]'], description="what it can be asked for", min_length=1
    )
    serves: tuple[ModelName, ...] = Field(
        default=(), examples=['["smollm2"]'], description="names under which clients ask for it; by default `model`"
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which clients ask for it."""
        if self.serves or self.model is None:
            return self.serves
        path = Path(self.model)
        return (path.name if path.is_absolute() else self.model,)


class Bid(Section):
    """What a request is worth, as far as this place says; see `Preferences`."""

    worth: Credits | None = Field(default=None, examples=["10.0"], description="credits at quality 1")
    delay_cost: Credits | None = Field(default=None, examples=["0.005"], description="credits per second")
    deadline_s: Seconds | None = Field(
        default=None, examples=["60.0"], description="seconds after which it is worth nothing"
    )
    max_price: Credits | None = Field(
        default=None, examples=["2.0"], description="the most credits that are ever charged"
    )
    stake: Credits | None = Field(default=None, examples=["0.0"], description="credits for being served at all")

    def figures(self) -> dict[str, float]:
        """What it says."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class PublishedBid(Bid):
    """What a request is worth of which nobody says it: a real bid, published with the prices."""

    worth: Credits = Field(default=10.0, examples=["10.0"], description="credits at quality 1")
    delay_cost: Credits = Field(default=0.005, examples=["0.005"], description="credits per second")


class Key(Section):
    """A client's key. All keys of one account are one bidder."""

    name: Name = Field(examples=['"alice-laptop"'])
    account: Name | None = Field(
        default=None, examples=['"alice"'], description="the bidder; by default the key's own name"
    )
    key: Secret = Field(examples=['{ env = "ALICE_KEY" }'])
    preferences: Bid = Field(default=Bid(), examples=["{ worth = 2.0 }"])

    @property
    def bidder(self) -> str:
        """Whose requests come under it."""
        return self.account or self.name


class AdminDoor(Section):
    """Where the admin API listens, and the key that opens it."""

    host: Written = Field(default="127.0.0.1", examples=['"127.0.0.1"'])
    port: Port = Field(examples=["8081"])
    key: Secret = Field(examples=['{ env = "IEMAS_ADMIN_KEY" }'])


#: Members of a body that no client may use by default: what they cost is not in any forecast, or not the client's.
REFUSED = ("chat_template", "kv_transfer_params", "prompt_logprobs")


class KeptRounds(Section):
    """How long rounds stay in the books, for `iemas ledger audit`."""

    keep_days: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = Field(
        default=30.0, examples=["30"], description="0: rounds are not kept"
    )


class Server(Section):
    """Where clients find us, and where the books are."""

    host: Written = Field(default="127.0.0.1", examples=['"127.0.0.1"'])
    port: Port = Field(default=8080, examples=["8080"])
    ledger: Books = Field(
        default="iemas.db", validate_default=True, examples=['"iemas.db"'], description="a file, or postgresql://..."
    )
    survives: Literal["process", "machine"] | None = Field(
        default=None, examples=['"machine"'], description="the end of what entries in the books survive"
    )
    accounts: bool = Field(default=False, strict=True, examples=["true"], description="take keys of the books too")
    gateways: Count = Field(
        default=1, examples=["2"], description="on these books: each lets keys have their share of limits a minute"
    )
    refuse: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,64}$")], ...] = Field(
        default=REFUSED,
        examples=['["chat_template", "prompt_logprobs"]'],
        description="members of a body that no client may use; `priority` never",
    )
    rounds: KeptRounds = Field(default=KeptRounds(), examples=["{ keep_days = 30 }"], description="rounds in the books")
    menus: bool = Field(
        default=True, strict=True, examples=["false"], description="receipts show the prices that their bidder faced"
    )
    salt_accounts: bool = Field(
        default=False, strict=True, examples=["true"], description="no account shares cached prefixes with another"
    )
    admin: AdminDoor | None = Field(
        default=None,
        examples=['{ port = 8081, key = { env = "IEMAS_ADMIN_KEY" } }'],
        description="accounts and keys over HTTP",
    )


class Limits(Section):
    """What one client, or all of them, can ask of the gateway."""

    body_bytes: Count = Field(default=10 << 20, examples=["10485760"])
    header_bytes: Count = Field(default=32 << 10, examples=["32768"])
    requests: Count = Field(
        default=1024, examples=["1024"], description="being served or waiting, all clients together"
    )
    requests_per_key: Count = Field(default=256, examples=["256"])
    choices: Count = Field(default=8, examples=["8"], description="n times the prompts of one request")
    default_max_tokens: Count = Field(
        default=1024, examples=["1024"], description="of a request that gives no max_tokens"
    )
    max_tokens: Count = Field(default=16384, examples=["16384"])
    body_s: Seconds = Field(default=30.0, examples=["30.0"], description="to send the body")
    connect_s: Seconds = Field(default=5.0, examples=["5.0"], description="to reach an engine")
    first_byte_s: Seconds = Field(
        default=600.0,
        examples=["600.0"],
        description="from dispatch to an engine's first byte; of a whole answer, to it",
    )
    idle_s: Seconds = Field(default=60.0, examples=["60.0"], description="between two chunks of an engine")
    request_s: Seconds = Field(default=1800.0, examples=["1800.0"], description="a request as a whole")
    drain_s: Seconds = Field(default=180.0, examples=["180.0"], description="for what is in flight when told to stop")


#: Long enough for requests of one moment to meet, and nothing beside the milliseconds that an engine takes.
_WINDOW_S = 0.002


class Rounds(Section):
    """When a round closes; see `RoundRules`."""

    window_s: Credits | None = Field(
        default=None, examples=["0.01"], description="by default 0.002 for an auction, 0 where each is decided alone"
    )
    max_batch: Count = Field(default=16, examples=["16"])
    patience_s: Seconds = Field(default=120.0, examples=["120.0"])
    depth: Count | None = Field(default=None, examples=["2"])
    attempts: Count = Field(
        default=2, examples=["2"], description="agents that a request may fail on before it is taken to be the cause"
    )
    assign: Literal["conversation", "bidder"] = Field(
        default="conversation", examples=['"conversation"'], description="what stays in one hub, of several"
    )

    def rules(self, *, gathers: bool = True) -> RoundRules:
        """The same, for the router; capacities are the agents', `gathers` says that requests are decided together."""
        window_s = (_WINDOW_S if gathers else 0.0) if self.window_s is None else self.window_s
        return RoundRules(window_s, self.max_batch, self.patience_s, None, self.depth, self.attempts)


class AuctionNames(Section):
    """Who decides, in the words of `iemas demo`; `module:object` is one of yours."""

    policy: Written = Field(default="iemas", examples=['"iemas"'])
    mechanism: Written = Field(default="vcg", examples=['"vcg"'])
    allocator: Written | None = Field(default=None, examples=['"min-cost-flow"'])
    settlement: Written = Field(default="on-prediction", examples=['"on-prediction"'])
    covers: Literal["price", "value"] = Field(
        default="price",
        examples=['"value"'],
        description="what an account with a limit must be able to pay: the price, once there is one, or what a request "
        "is reported to be worth, before it enters a round",
    )
    predictor: Written | None = Field(default=None, examples=['"by-question"'])


class Fleet(Section):
    """A whole file, as checked."""

    version: Literal[1] = Field(default=1, examples=["1"], description="of this format")
    # Validated like what is written: its paths begin at the folder of the file.
    server: Server = Field(default_factory=dict, validate_default=True, examples=["a [server] with port = 8080"])
    agents: tuple[Agent, ...] = Field(examples=['an [[agents]] with name = "small", model = "smollm2-135m", prices'])
    pools: dict[ModelName, tuple[Name, ...]] = Field(default={}, examples=['{ fast = ["small"] }', '["small"]'])
    hubs: dict[Name, tuple[Name, ...]] = Field(default={}, examples=['{ near = ["small"] }', '["small"]'])
    keys: tuple[Key, ...] = Field(default=(), examples=['a [[keys]] with name = "alice", key = { env = "ALICE_KEY" }'])
    preferences: PublishedBid = Field(default=PublishedBid(), examples=["a [preferences] with worth = 10.0"])
    service_tiers: dict[Name, Bid] = Field(default={}, examples=["{ flex = { worth = 0.5 } }", "{ worth = 0.5 }"])
    rounds: Rounds = Field(default=Rounds(), examples=["a [rounds] with max_batch = 16"])
    auction: AuctionNames = Field(default=AuctionNames(), examples=['an [auction] with mechanism = "vcg"'])
    limits: Limits = Field(default=Limits(), examples=["a [limits] with requests = 1024"])

    def defaults(self) -> Defaults:
        """What the operator publishes, for `preferences.state`."""
        tiers = {name: bid.figures() for name, bid in self.service_tiers.items()}
        return Defaults(self.preferences.figures(), tiers)
