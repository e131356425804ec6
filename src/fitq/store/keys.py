"""Every key in both stores, in one place.

Redis, under `fitq:<workspace>:`

    run:<id>               string  RunRecord as JSON
    run:<id>:log           string  the log so far; a byte offset in it is a position for readers
    run:<id>:metrics       list    MetricPoint as JSON, in the order they were logged
    runs                   zset    run id by creation time
    runs:status:<status>   zset    the same, one per status
    runs:experiment:<name> zset    the same, one per experiment
    runs:pool:<pool>:<status> zset  the same, one per pool and status
    experiments            zset    experiment name by newest run
    pool-names             set     every pool that ever had a run
    idempotency:<sha256>   string  run id, for a day
    functions              hash    <pool>/<name> → FunctionRecord
    published              hash    <name> → FunctionCode
    pools                  hash    <name> → PoolSettings
    workers                hash    <worker id> → WorkerRecord
    leases                 zset    <run>|<n>-<claim> by the server time at which the lease ends
    epoch                  string  a random name, given when Redis was last found empty
    whole                  string  there once everything is back since then
    restoring              string  [runs, of] while an emptied Redis is filled again
    leader                 string  id of the scheduler that leads, for some seconds

Dramatiq keeps the queues themselves under its own prefix: `dramatiq:<pool>` for the workspace `default`,
`dramatiq-<workspace>:<pool>` for any other.

Object store, under `<workspace>/`

    snapshots/<sha256>.tar.gz           a submitted folder
    snapshots/<sha256>.files.json       the paths in it
    open/<run>.json                     the accepted run as it was asked for; gone when the run is final and
                                        the models that it registers are there.
                                        Written before 202: it is what "accepted" means.
    runs/<run>/attempts/<n>-<claim>/<path>  files of one attempt; those of an attempt that does not
                                        count are deleted a day after the run ended
    runs/<run>/final.json               FinalRecord, put if absent: the one truth about a run that ended
    models/<name>/versions/<v>.json     ModelRecord, put if absent; later only tags and the like change
    models/<name>/versions/<v>.deleted  there when that version was deleted; its number is never used again
    models/<name>/about.json            ModelAbout: aliases, description, tags
    models/<name>/files/<sha256>        the bytes of a model
    models/<name>/golden/<sha256>.json  what it answered when it was registered; named by its own hash
    data/<name>/versions/<v>.json       DataRecord, put if absent; later only description and tags change
    data/<name>/versions/<v>.withdrawn  empty: all versions up to this one are in no list any more
    data-contents/<digest>.json         DataContent: files and their parts, under the hash of what is in them
    data-parts/<sha256>                 bytes of files of data, shared by whatever holds the same
    approvals/<sha256>.json             a model file that may be loaded whatever it imports: {"at"}
    made/<sha256>.json                  which run left a model file: {"run", "path"}, put if absent
    endpoints/<name>.json               EndpointRecord
    functions/<name>.json               FunctionCode; Redis has them too, for workers
    pools/<name>.json                   PoolSettings; Redis has them too, for whoever reads often
    changes/<period>/<model>/<nonce>    empty: that model changed in those ten minutes; gone after an hour
    applied/<kind>/<name>.json          what `fitq apply` said last about a thing, and its label
    environments/<hash>/environment.json  KeptEnvironment, put if absent: exact packages, for ever
    environments/<hash>/build.log       what the first build said
    environment-names/<name>/<v>.json   NamedEnvironment, put if absent; <v>.withdrawn as for data
    format.json                         FormatRecord, put if absent by the first program
    secrets/endpoint-keys               32 random bytes from which endpoint keys are derived
"""

from __future__ import annotations

from fitq.records import RunRecord


class ObjectKeys:
    """Keys in the bucket, for one workspace."""

    def __init__(self, workspace: str) -> None:
        self._root = workspace

    def format(self) -> str:
        return f"{self._root}/format.json"

    def snapshot(self, sha256: str) -> str:
        return f"{self._root}/snapshots/{sha256}.tar.gz"

    def snapshot_files(self, sha256: str) -> str:
        return f"{self._root}/snapshots/{sha256}.files.json"

    def runs(self) -> str:
        return f"{self._root}/runs/"

    def open_runs(self) -> str:
        return f"{self._root}/open/"

    def open_run(self, run_id: str) -> str:
        return f"{self._root}/open/{run_id}.json"

    def attempt_file(self, run: RunRecord, path: str) -> str:
        return f"{self.attempts(run.parent or run.id)}{run.attempt_id}/{path}"

    def attempts(self, run_id: str) -> str:
        return f"{self._root}/runs/{run_id}/attempts/"

    def final(self, run_id: str) -> str:
        return f"{self._root}/runs/{run_id}/final.json"

    def models(self) -> str:
        return f"{self._root}/models/"

    def changes(self) -> str:
        return f"{self._root}/changes/"

    def changes_of(self, period: int) -> str:
        return f"{self._root}/changes/{period}/"

    def change(self, period: int, model: str, nonce: str) -> str:
        return f"{self._root}/changes/{period}/{model}/{nonce}"

    def model_versions(self, name: str) -> str:
        return f"{self._root}/models/{name}/versions/"

    def model_version(self, name: str, version: int) -> str:
        return f"{self._root}/models/{name}/versions/{version}.json"

    def model_tombstone(self, name: str, version: int) -> str:
        return f"{self._root}/models/{name}/versions/{version}.deleted"

    def model_about(self, name: str) -> str:
        return f"{self._root}/models/{name}/about.json"

    def model_file(self, name: str, sha256: str) -> str:
        return f"{self._root}/models/{name}/files/{sha256}"

    def environment(self, hash: str) -> str:
        return f"{self._root}/environments/{hash}/environment.json"

    def environments(self) -> str:
        return f"{self._root}/environments/"

    def environment_names(self) -> str:
        return f"{self._root}/environment-names/"

    def environment_versions(self, name: str) -> str:
        return f"{self._root}/environment-names/{name}/"

    def environment_version(self, name: str, version: int) -> str:
        return f"{self._root}/environment-names/{name}/{version}.json"

    def environment_withdrawn(self, name: str, version: int) -> str:
        return f"{self._root}/environment-names/{name}/{version}.withdrawn"

    def environment_log(self, hash: str) -> str:
        return f"{self._root}/environments/{hash}/build.log"

    def data(self) -> str:
        return f"{self._root}/data/"

    def data_versions(self, name: str) -> str:
        return f"{self._root}/data/{name}/versions/"

    def data_version(self, name: str, version: int) -> str:
        return f"{self._root}/data/{name}/versions/{version}.json"

    def data_withdrawn(self, name: str, version: int) -> str:
        return f"{self._root}/data/{name}/versions/{version}.withdrawn"

    def data_content(self, digest: str) -> str:
        return f"{self._root}/data-contents/{digest}.json"

    def data_part(self, sha256: str) -> str:
        return f"{self._root}/data-parts/{sha256}"

    def model_golden(self, name: str, sha256: str) -> str:
        return f"{self._root}/models/{name}/golden/{sha256}.json"

    def made(self, sha256: str) -> str:
        return f"{self._root}/made/{sha256}.json"

    def approval(self, sha256: str) -> str:
        return f"{self._root}/approvals/{sha256}.json"

    def endpoints(self) -> str:
        return f"{self._root}/endpoints/"

    def endpoint(self, name: str) -> str:
        return f"{self._root}/endpoints/{name}.json"

    def published_functions(self) -> str:
        return f"{self._root}/functions/"

    def function(self, name: str) -> str:
        return f"{self._root}/functions/{name}.json"

    def pools(self) -> str:
        return f"{self._root}/pools/"

    def pool(self, name: str) -> str:
        return f"{self._root}/pools/{name}.json"

    def applied(self) -> str:
        return f"{self._root}/applied/"

    def applied_thing(self, kind: str, name: str) -> str:
        return f"{self._root}/applied/{kind}/{name}.json"

    def endpoint_secret(self) -> str:
        return f"{self._root}/secrets/endpoint-keys"


class StateKeys:
    """Keys in Redis, for one workspace."""

    def __init__(self, workspace: str) -> None:
        self._root = f"fitq:{workspace}:"

    def run(self, run_id: str) -> str:
        return f"{self._root}run:{run_id}"

    def log(self, run_id: str) -> str:
        return f"{self._root}run:{run_id}:log"

    def metrics(self, run_id: str) -> str:
        return f"{self._root}run:{run_id}:metrics"

    def runs(self) -> str:
        return f"{self._root}runs"

    def runs_by_status(self, status: str) -> str:
        return f"{self._root}runs:status:{status}"

    def runs_by_experiment(self, experiment: str) -> str:
        return f"{self._root}runs:experiment:{experiment}"

    def runs_of_pool(self, pool: str, status: str) -> str:
        return f"{self._root}runs:pool:{pool}:{status}"

    def pool_names(self) -> str:
        return f"{self._root}pool-names"

    def experiments(self) -> str:
        return f"{self._root}experiments"

    def idempotency(self, digest: str) -> str:
        return f"{self._root}idempotency:{digest}"

    def functions(self) -> str:
        return f"{self._root}functions"

    def pools(self) -> str:
        return f"{self._root}pools"

    def published(self) -> str:
        return f"{self._root}published"

    def leases(self) -> str:
        return f"{self._root}leases"

    def epoch(self) -> str:
        return f"{self._root}epoch"

    def whole(self) -> str:
        return f"{self._root}whole"

    def restoring(self) -> str:
        return f"{self._root}restoring"

    def leader(self) -> str:
        return f"{self._root}leader"

    def workers(self) -> str:
        return f"{self._root}workers"
