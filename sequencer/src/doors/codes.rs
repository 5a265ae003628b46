//! Every answer of a door that is not the one asked for: where, what it means, what to do.
//!
//! Declared once: the HTTP service answers with these rows, and pages about codes are made of them.

/// An answer that is not the one asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unserved {
    /// The requests that may be answered so, as paths or words.
    pub requests: &'static [&'static str],
    /// HTTP status; 0 on the admin socket, which has none.
    pub status: u16,
    /// The value of `error` in the JSON answer; empty where the protocol answers without a body.
    pub code: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What whoever meets it should do.
    pub what_to_do: &'static str,
}

impl Unserved {
    /// After how many seconds it is worth asking again; none where nobody can say.
    pub(crate) fn retry_after_s(&self) -> Option<u32> {
        let later =
            [FILES_BUSY, ARCHIVE_BUSY, ARCHIVE_UNAVAILABLE, AUDIT_BUSY, NOTICES_UNAVAILABLE];
        later.contains(self).then_some(10)
    }
}

const FILES: &[&str] = &["/batches/{n}", "/batches/{n}/private"];
const FROM_STORE: &[&str] = &["/batches", "/batches/{n}", "/batches/{n}/private"];
const AUDIT: &[&str] = &["/fhir/AuditEvent"];
const SUBSCRIPTIONS: &[&str] = &["/fhir/Subscription", "/fhir/Subscription/{id}"];
const TOKENS: &[&str] = &["/fhir/AuditEvent", "/fhir/Subscription", "/fhir/Subscription/{id}"];
const ANY: &[&str] = &["any"];

pub(crate) const NUMBER_MALFORMED: Unserved = Unserved {
    requests: FILES,
    status: 400,
    code: "number-malformed",
    meaning: "What stands for the batch number is no decimal number.",
    what_to_do: "Ask for a number from 1 to `assembled` of `GET /batches`.",
};

pub(crate) const SINCE_MALFORMED: Unserved = Unserved {
    requests: &["/desk"],
    status: 400,
    code: "since-malformed",
    meaning: "What stands behind `since=` is no decimal number.",
    what_to_do: "Give milliseconds since 1970, as `at_unix_ms` of a point is.",
};

pub(crate) const DESK_TOKEN: Unserved = Unserved {
    requests: &["/desk"],
    status: 401,
    code: "desk-token",
    meaning: "The node's desk is shown to whoever has its token, and the request had none or another.",
    what_to_do: "Send `Authorization: Bearer` with what stands in the file of `web.token_file`; in \
                 a browser the page `/desk.html` asks for it.",
};

pub(crate) const DESK_ELSEWHERE: Unserved = Unserved {
    requests: &["/desk"],
    status: 403,
    code: "desk-elsewhere",
    meaning: "Without a token the node's desk is shown on its own machine alone; the request was \
              passed on by a proxy, or made for another name.",
    what_to_do: "Ask `http://127.0.0.1` on the machine itself, or through `ssh -L`; or set \
                 `web.token_file`.",
};

pub(crate) const DESK_UNSET: Unserved = Unserved {
    requests: &["/desk"],
    status: 403,
    code: "desk-unset",
    meaning: "Beside the node's page, which is for everybody, its desk is for whoever has the token, \
              and none is set.",
    what_to_do: "Set `web.token_file` and start the node again; `sequencer status --watch` shows the \
                 same meanwhile.",
};

pub(crate) const AUDIT_SEARCH: Unserved = Unserved {
    requests: AUDIT,
    status: 400,
    code: "search-malformed",
    meaning: "A parameter is unknown, missing or none; the diagnostics say which.",
    what_to_do: "Search as `audit-events.md` has it: `patient`, and `date`, `agent`, `_lastUpdated`, `_count`.",
};

pub(crate) const AUDIT_TOKEN: Unserved = Unserved {
    requests: TOKENS,
    status: 401,
    code: "token-refused",
    meaning: "The request has no bearer token, or one that is not taken; the diagnostics name why.",
    what_to_do: "Ask the issuer of `[tokens]` for a token for its audience, and send it as `Authorization: Bearer`.",
};

pub(crate) const AUDIT_FORBIDDEN: Unserved = Unserved {
    requests: AUDIT,
    status: 403,
    code: "search-forbidden",
    meaning: "The token is good and does not grant this search, is of another patient, of somebody else than the patient whose record it names or of nobody that it names (`fhirUser`), or of a practitioner whom the registry does not know.",
    what_to_do: "Ask for the scope and claims that `audit-events.md` lists.",
};

pub(crate) const AUDIT_BUSY: Unserved = Unserved {
    requests: AUDIT,
    status: 503,
    code: "audit-busy",
    meaning: "As many read files as may, or the node absorbs its journal.",
    what_to_do: "Ask again in ten seconds.",
};

pub(crate) const AUDIT_UNAVAILABLE: Unserved = Unserved {
    requests: AUDIT,
    status: 503,
    code: "audit-unavailable",
    meaning: "A batch of the time that is asked for cannot be read or is in the archive alone, or that somebody reads cannot be noted in `audit-reads.log`.",
    what_to_do: "The operator's log says which; restore the batch, or make room in the node's folder.",
};

pub(crate) const SUBSCRIPTION_MALFORMED: Unserved = Unserved {
    requests: SUBSCRIPTIONS,
    status: 400,
    code: "subscription-malformed",
    meaning: "The body is no Subscription of at most 8 KiB that came within 10 s, or the search has an unknown parameter; the diagnostics and `expression` say which element.",
    what_to_do: "Write it as [notices](notices.md) shows.",
};

pub(crate) const SUBSCRIPTION_FORBIDDEN: Unserved = Unserved {
    requests: SUBSCRIPTIONS,
    status: 403,
    code: "subscription-forbidden",
    meaning: "The token is good and does not grant this, is of no patient, of somebody else than the patient whose record it names or of nobody that it names (`fhirUser`), or of another than the subscription is about.",
    what_to_do: "Ask for the scopes that [notices](notices.md#who-may-subscribe) lists.",
};

pub(crate) const SUBSCRIPTION_UNKNOWN: Unserved = Unserved {
    requests: &["/fhir/Subscription/{id}"],
    status: 404,
    code: "subscription-unknown",
    meaning: "The patient of the token has no subscription of this id.",
    what_to_do: "List them with `GET /fhir/Subscription`.",
};

pub(crate) const SUBSCRIPTIONS_FULL: Unserved = Unserved {
    requests: &["/fhir/Subscription"],
    status: 409,
    code: "subscriptions-full",
    meaning: "The patient, or the node, has as many subscriptions as may be (`notices.of_patient_max`, `notices.subscriptions_max`).",
    what_to_do: "Delete one first; the operator may raise the limits.",
};

pub(crate) const SUBSCRIPTION_TYPE: Unserved = Unserved {
    requests: &["/fhir/Subscription"],
    status: 415,
    code: "subscription-type",
    meaning: "The body is not said to be FHIR JSON.",
    what_to_do: "Send `content-type: application/fhir+json`.",
};

pub(crate) const SUBSCRIPTION_UNSERVED: Unserved = Unserved {
    requests: &["/fhir/Subscription"],
    status: 422,
    code: "subscription-unserved",
    meaning: "It asks for what is not served here: another criteria, channel, payload or header, or a host that the operator's list does not have; `expression` names the element.",
    what_to_do: "Leave it out, or have the operator add the host to `notices.hosts`.",
};

pub(crate) const NOTICES_UNAVAILABLE: Unserved = Unserved {
    requests: SUBSCRIPTIONS,
    status: 503,
    code: "notices-unavailable",
    meaning: "`subscriptions.json` or `audit-reads.log` cannot be read or written, or too many requests are under way; nothing is changed.",
    what_to_do: "Ask again in ten seconds; the operator's log says why.",
};

pub(crate) const PATH_UNKNOWN: Unserved = Unserved {
    requests: ANY,
    status: 404,
    code: "path-unknown",
    meaning: "The node serves nothing under this path.",
    what_to_do: "Use one of the paths of this table.",
};

pub(crate) const BATCH_UNKNOWN: Unserved = Unserved {
    requests: FILES,
    status: 404,
    code: "batch-unknown",
    meaning: "No batch of this number is assembled; `detail` repeats the number.",
    what_to_do: "Ask for a number up to `assembled` of `GET /batches`, or wait for the batch.",
};

pub(crate) const CORRUPT: Unserved = Unserved {
    requests: FROM_STORE,
    status: 500,
    code: "corrupt",
    meaning: "The stored file or row is not as it was written; it is not served (I8).",
    what_to_do: "Fetch the batch elsewhere or later: the scrub makes a damaged file anew from journal \
                 and chain. The node's log says if it cannot.",
};

pub(crate) const STORE: Unserved = Unserved {
    requests: FROM_STORE,
    status: 500,
    code: "store",
    meaning: "Disk or database did not answer; the node's log says why.",
    what_to_do: "Ask again later; the operator looks into the log and after the disk.",
};

pub(crate) const INTERNAL: Unserved = Unserved {
    requests: FROM_STORE,
    status: 500,
    code: "internal",
    meaning: "The task that answers panicked. Nothing is changed by it.",
    what_to_do: "Ask again; if it comes back, report it with the node's log.",
};

pub(crate) const STAGE_FAILED: Unserved = Unserved {
    requests: &["/healthz", "/readyz"],
    status: 503,
    code: "stage-failed",
    meaning: "A stage of the node failed and the node is stopping; `detail` names the stage.",
    what_to_do: "Read the cause in the node's log, mend it and start the node again.",
};

pub(crate) const HISTORY: Unserved = Unserved {
    requests: &["/healthz", "/readyz"],
    status: 503,
    code: "history",
    meaning: "The journal lacks what the contract, the store, the witness or a receipt of this node \
              remembers, or the folder was restored from a backup: nothing is taken in, \
              acknowledged or settled. `detail` names groups, positions and both hashes.",
    what_to_do: "Stop the node and restore the newest whole copy of `journal/`; only if there is \
                 none, and of a restored folder once gateways have come, `sequencer journal \
                 recover --accept-loss`.",
};

pub(crate) const STARTING: Unserved = Unserved {
    requests: &["/readyz"],
    status: 503,
    code: "starting",
    meaning: "The node absorbs its journal behind the last snapshot and takes nothing in yet: \
              `entries_done` of `entries_all` entries in `stage`.",
    what_to_do: "Wait. A start that takes long found no snapshot to start from; the log says why. \
                 One that is cut off goes on where it was.",
};

pub(crate) const FILES_BUSY: Unserved = Unserved {
    requests: FILES,
    status: 503,
    code: "files-busy",
    meaning: "Sixteen files are being read or sent, and none was done within 10 s.",
    what_to_do: "Ask again after `Retry-After` seconds, for one file at a time.",
};

pub(crate) const ARCHIVE_BUSY: Unserved = Unserved {
    requests: &["/batches/{n}"],
    status: 503,
    code: "archive-busy",
    meaning: "The file is in the archive alone, which gives four at once and did not give this one \
              within 10 s; it goes on being fetched.",
    what_to_do: "Ask again after `Retry-After` seconds: it may be here by then.",
};

pub(crate) const ARCHIVE_UNAVAILABLE: Unserved = Unserved {
    requests: &["/batches/{n}"],
    status: 503,
    code: "archive-unavailable",
    meaning: "The file is in the archive alone, which does not give it: it does not answer, or the \
              object there is gone or damaged.",
    what_to_do: "Ask again after `Retry-After` seconds; the operator's log names the object.",
};

pub(crate) const CHAIN_UNREACHABLE: Unserved = Unserved {
    requests: &["/readyz"],
    status: 503,
    code: "chain-unreachable",
    meaning: "The base chain did not answer the settler the last time it was asked.",
    what_to_do: "Check `[chain] rpc` and the chain's node; settling goes on by itself.",
};

pub(crate) const STAGE_DEGRADED: Unserved = Unserved {
    requests: &["/readyz"],
    status: 503,
    code: "stage-degraded",
    meaning: "A stage runs and does not get on; `detail` lists stage and cause. Collection goes on, \
              `/healthz` stays 200.",
    what_to_do: "Look the cause up under [Degraded stages](#degraded-stages).",
};

pub(crate) const SETTLEMENT_LAGS: Unserved = Unserved {
    requests: &["/readyz"],
    status: 503,
    code: "settlement-lags",
    meaning: "`batches` assembled batches wait to be settled, the oldest for `oldest_seconds`: at \
              `[settle] alarm_batches` or `alarm_after_ms`. Collection and proving go on.",
    what_to_do: "Read the reason in the node's log; look at the settling account's balance \
                 (`vitals_settle_balance_wei`), at fees and at the chain's node. It ends by itself \
                 once the batches are settled.",
};

pub(crate) const CLOCK_DISAGREES: Unserved = Unserved {
    requests: &["/readyz"],
    status: 503,
    code: "clock-disagrees",
    meaning: "Somebody set the wall clock: `wall_clock` is `distance_ms` ahead of \
              `boot_time_clock`, what it would say if nobody had. Frames, new streams, accesses \
              and operations that give rights are refused as unavailable; stops, revocations and \
              denials that are not signed too far ahead are taken.",
    what_to_do: "Set the clock right: that ends it at once. A clock that stays as it is is believed \
                 in `believed_in_seconds`: after `[clock] settled_after_ms`, and not before it has \
                 reached what was journaled before it was set. Starting the node again changes \
                 nothing: it remembers the clocks of this boot.",
};

pub(crate) const JOURNAL_AHEAD: Unserved = Unserved {
    requests: &["/readyz"],
    status: 503,
    code: "journal-ahead",
    meaning: "The journal's last entry is of a time that has not come; `until` names it. Frames, \
              new streams, accesses and operations that give rights are refused as unavailable \
              until then, and no window closes by its age. Stops, revocations and denials that \
              are valid beyond `until` are taken.",
    what_to_do: "If the clock is behind, set it; else wait. Entries keep their times. What must go in \
                 before is signed to be valid beyond `until` (`vitals consent ... --valid-for`).",
};

pub(crate) const DISK_LOW: Unserved = Unserved {
    requests: &["/readyz"],
    status: 503,
    code: "disk-low",
    meaning: "Less than `[journal] reserve_bytes` is free: `free_bytes`. Frames and new streams \
              are refused as unavailable; everything else goes on.",
    what_to_do: "Make room under the node's folder; both are taken again by themselves.",
};

pub(crate) const NO_NEW_KEYS: Unserved = Unserved {
    requests: &["/readyz"],
    status: 503,
    code: "no-new-keys",
    meaning: "The last key of readings that was needed could not be made or kept; the log says why. \
              Frames of patients who have none, or whose epoch ended, are refused as unavailable; \
              everything else goes on.",
    what_to_do: "Make room on the disk of the key folder (`[keys] folder`) and of the node's, or mend \
                 what the log names; `sequencer keys status` says how many keys there are. It is \
                 tried again once a second with a frame that needs one, else once a minute.",
};

pub(crate) const DRAINING: Unserved = Unserved {
    requests: &["/readyz"],
    status: 503,
    code: "draining",
    meaning: "An operator drains the node, `since` then: frames, new streams, accesses and \
              operations that give rights are refused as unavailable; stops, revocations, denials \
              and accesses in an emergency are taken, and what is there is proven and settled.",
    what_to_do: "Wait for `sequencer drain`, which says when nothing is left, and stop the node. \
                 `sequencer resume` has it take in again; so does a start.",
};

pub(crate) const PAUSED: Unserved = Unserved {
    requests: &["/readyz"],
    status: 503,
    code: "paused",
    meaning: "An operator paused settling, `since` then: nothing is sent to the chain, over starts \
              too. Everything is taken in and proven, and withdrawals are in force at once; on the \
              chain they are late.",
    what_to_do: "`sequencer status` says who and why; `sequencer resume` goes on, and all that waits \
                 is settled in order.",
};

pub(crate) const FILES_DAMAGED: Unserved = Unserved {
    requests: &["/readyz"],
    status: 503,
    code: "files-damaged",
    meaning: "Stored batch files are damaged and could not be made anew; the log says which and \
              why. Everything else goes on.",
    what_to_do: "Do what the log says and look after the disk: the next pass, after `[store] \
                 scrub_every_ms`, tries again. A start of the node looks at once.",
};

/// What brings an operation.
const OPERATIONS: &[&str] = &["/operations"];

/// What brings a request to erase.
const ERASURES: &[&str] = &["/erasures"];

/// What brings something that somebody signed.
const SIGNED: &[&str] = &["/operations", "/erasures"];

pub(crate) const OPERATION_MALFORMED: Unserved = Unserved {
    requests: OPERATIONS,
    status: 400,
    code: "operation-malformed",
    meaning: "The bytes are no signed operation; `detail` says what was expected.",
    what_to_do: "Send the bytes of one signed operation (`SPEC.md`, section 9), whole and nothing else.",
};

pub(crate) const SOURCE_UNKNOWN: Unserved = Unserved {
    requests: SIGNED,
    status: 400,
    code: "source-unknown",
    meaning: "`[http] forwarded` is set, and the last value of `x-forwarded-for` is no address.",
    what_to_do: "The operator has the proxy append the address of its client to that header.",
};

pub(crate) const SOURCE_HIDDEN: Unserved = Unserved {
    requests: SIGNED,
    status: 400,
    code: "source-hidden",
    meaning: "A proxy passes the request on, and `[http] forwarded` is not set: all its clients would \
              be one source.",
    what_to_do: "The operator sets `[http] forwarded = true` and has the proxy append its client's \
                 address to `x-forwarded-for`.",
};

pub(crate) const OPERATION_ENROLMENT: Unserved = Unserved {
    requests: OPERATIONS,
    status: 403,
    code: "operation-enrolment",
    meaning: "Enrolments are not taken here: they hold the key that opens what is proven of a patient.",
    what_to_do: "Send it over QUIC, as a wallet or operator (`vitals consent enrol --node`).",
};

pub(crate) const OPERATION_NOT_TAKEN: Unserved = Unserved {
    requests: OPERATIONS,
    status: 403,
    code: "operation-not-taken",
    meaning: "The patient's key did not sign it, or its nonce is not the next, or it is valid no more, \
              or there is no such patient: which one is not said to strangers.",
    what_to_do: "Sign it anew for this deployment, with the patient's key and the next nonce \
                 (`vitals log --rebuild` finds which took effect, once it is settled).",
};

pub(crate) const ERASURE_MALFORMED: Unserved = Unserved {
    requests: ERASURES,
    status: 400,
    code: "erasure-malformed",
    meaning: "The bytes are no signed request to erase; `detail` says what was expected.",
    what_to_do: "Send the file that `vitals consent erase --out` writes, whole and nothing else.",
};

pub(crate) const ERASURE_NOT_TAKEN: Unserved = Unserved {
    requests: ERASURES,
    status: 403,
    code: "erasure-not-taken",
    meaning: "The patient's key did not sign it for this deployment, or it is not valid now, or there is \
              no such patient: which one is not said to strangers.",
    what_to_do: "Sign it anew (`vitals consent erase`), with the patient's key.",
};

pub(crate) const ERASURE_REFUSED: Unserved = Unserved {
    requests: ERASURES,
    status: 409,
    code: "erasure-refused",
    meaning: "The patient's key signed it, and the record is not stopped, or was stopped behind it, or is \
              erased already at another request: `detail` says which.",
    what_to_do: "Stop the record first (`vitals consent stop`) and sign a request behind that; of one that \
                 is erased the request that was carried out brings the receipt.",
};

pub(crate) const ERASURE_NOT_KEPT: Unserved = Unserved {
    requests: ERASURES,
    status: 503,
    code: "erasure-not-kept",
    meaning: "The request cannot be written down, or there are 10,000 that wait, or its receipt cannot be \
              read; the log says which.",
    what_to_do: "Send the same bytes again later: what is not answered with 200 is not promised to be \
                 kept. The operator makes room, or carries out what waits (`sequencer hold list`).",
};

pub(crate) const OPERATION_SLOW: Unserved = Unserved {
    requests: SIGNED,
    status: 408,
    code: "operation-slow",
    meaning: "The bytes did not come within 10 s.",
    what_to_do: "Send them again.",
};

pub(crate) const OPERATION_REFUSED: Unserved = Unserved {
    requests: OPERATIONS,
    status: 409,
    code: "operation-refused",
    meaning: "It is signed well, and refused: `detail` has the code and the rule, as over QUIC.",
    what_to_do: "Look the code up under [reject codes](#reject-codes).",
};

pub(crate) const OPERATION_LONG: Unserved = Unserved {
    requests: SIGNED,
    status: 413,
    code: "operation-long",
    meaning: "The body is longer than what is signed there ever is, or did not come whole.",
    what_to_do: "Send one operation, or one request to erase, of `bytes_max` bytes at most.",
};

pub(crate) const OPERATION_TYPE: Unserved = Unserved {
    requests: SIGNED,
    status: 415,
    code: "operation-type",
    meaning: "The body is not said to be bytes; `detail` says what was expected.",
    what_to_do: "Send `content-type: application/octet-stream`.",
};

pub(crate) const OPERATIONS_TOO_OFTEN: Unserved = Unserved {
    requests: SIGNED,
    status: 429,
    code: "operations-too-often",
    meaning: "The network, or the patient over it, sent more than [`[ingest.rates]`]\
              (configuration.md#ingestrates) allows. Stops, revocations and denies count apart.",
    what_to_do: "Wait a minute, or send it over another connection; a wallet's QUIC connection has \
                 rates of its own.",
};

pub(crate) const OPERATION_UNRECEIPTED: Unserved = Unserved {
    requests: OPERATIONS,
    status: 500,
    code: "operation-unreceipted",
    meaning: "It took effect at `position`, and its receipt cannot be given; the log says why.",
    what_to_do: "Send the same bytes again: nothing takes effect twice, and the receipt is the same.",
};

pub(crate) const OPERATIONS_BUSY: Unserved = Unserved {
    requests: SIGNED,
    status: 503,
    code: "operations-busy",
    meaning: "Too many operations are under way, or too many of this network.",
    what_to_do: "Send it again in some seconds.",
};

pub(crate) const OPERATIONS_CLOSED: Unserved = Unserved {
    requests: SIGNED,
    status: 503,
    code: "operations-closed",
    meaning: "The node starts, stops, is drained or held, its journal failed, or its clocks disagree: \
              this is not taken now, and did not take effect.",
    what_to_do: "Ask `GET /readyz` why, and send it again later.",
};

pub(crate) const OPERATION_UNACKNOWLEDGED: Unserved = Unserved {
    requests: OPERATIONS,
    status: 504,
    code: "operation-unacknowledged",
    meaning: "It was not durable within 15 s, or the journal failed with it in hand; it may have taken \
              effect, or still take it.",
    what_to_do: "Send the same bytes again: nothing takes effect twice, and the answer is its receipt.",
};

/// What systems ask about consent.
const DECISIONS: &[&str] = &["/fhir/$consent-decision"];

pub(crate) const DECISION_MALFORMED: Unserved = Unserved {
    requests: DECISIONS,
    status: 400,
    code: "decision-malformed",
    meaning: "The question is no `patient-consent-consult`, or names somebody or something that is \
              not known here; `detail` says which element.",
    what_to_do: "Write it as [decisions](decisions.md) shows; the operator adds names to \
                 `decisions.names_file`.",
};

pub(crate) const DECISION_TOKEN: Unserved = Unserved {
    requests: DECISIONS,
    status: 401,
    code: "decision-token",
    meaning: "The request had no bearer token, or one that is not taken; `detail` says why, as \
              [tokens](../tokens/README.md) has it.",
    what_to_do: "Ask the issuer of `[tokens]` for a token for its audience, and send it as \
                 `Authorization: Bearer`.",
};

pub(crate) const DECISION_SYSTEM: Unserved = Unserved {
    requests: DECISIONS,
    status: 403,
    code: "decision-system",
    meaning: "The token is good, and does not grant `system/Consent.r`, or its subject is none of \
              `decisions.systems`, or the organisation named there is not registered now.",
    what_to_do: "The operator names the system and registers its organisation; the SMART server \
                 grants the scope.",
};

pub(crate) const DECISION_TYPE: Unserved = Unserved {
    requests: DECISIONS,
    status: 415,
    code: "decision-type",
    meaning: "The body is not said to be JSON; `detail` says what was expected.",
    what_to_do: "Send `content-type: application/json`.",
};

pub(crate) const DECISIONS_TOO_OFTEN: Unserved = Unserved {
    requests: DECISIONS,
    status: 429,
    code: "decisions-too-often",
    meaning: "The system asked more than `decisions.per_minute`.",
    what_to_do: "Wait until the minute is over.",
};

pub(crate) const READS_TOO_OFTEN: Unserved = Unserved {
    requests: &["/fhir/AuditEvent", "/fhir/Subscription"],
    status: 429,
    code: "reads-too-often",
    meaning: "The subject of the token asked for more pages and subscriptions than `fhir.per_minute`.",
    what_to_do: "Wait until the minute is over.",
};

pub(crate) const DECISIONS_CLOSED: Unserved = Unserved {
    requests: DECISIONS,
    status: 503,
    code: "decisions-closed",
    meaning: "The node answers no questions now: it starts or stops, waits for its disk or clocks, \
              or has as many as it may.",
    what_to_do: "Ask again a little later. Read nothing meanwhile: no answer is no permission.",
};

/// What the HTTP service answers other than the thing asked for, by status.
pub const HTTP: &[Unserved] = &[
    NUMBER_MALFORMED,
    SINCE_MALFORMED,
    OPERATION_MALFORMED,
    ERASURE_MALFORMED,
    SOURCE_UNKNOWN,
    SOURCE_HIDDEN,
    AUDIT_SEARCH,
    SUBSCRIPTION_MALFORMED,
    DECISION_MALFORMED,
    DESK_TOKEN,
    AUDIT_TOKEN,
    DECISION_TOKEN,
    DESK_ELSEWHERE,
    DESK_UNSET,
    OPERATION_ENROLMENT,
    OPERATION_NOT_TAKEN,
    ERASURE_NOT_TAKEN,
    AUDIT_FORBIDDEN,
    SUBSCRIPTION_FORBIDDEN,
    DECISION_SYSTEM,
    PATH_UNKNOWN,
    BATCH_UNKNOWN,
    SUBSCRIPTION_UNKNOWN,
    Unserved {
        requests: ANY,
        status: 405,
        code: "",
        meaning: "The path is served, but not to this method.",
        what_to_do: "Use POST for `/operations`, `/erasures` and `/fhir/$consent-decision`, POST or \
                     GET for `/fhir/Subscription`, GET or DELETE for one of these, and GET for \
                     everything else.",
    },
    OPERATION_SLOW,
    OPERATION_REFUSED,
    SUBSCRIPTIONS_FULL,
    ERASURE_REFUSED,
    OPERATION_LONG,
    OPERATION_TYPE,
    DECISION_TYPE,
    SUBSCRIPTION_TYPE,
    SUBSCRIPTION_UNSERVED,
    OPERATIONS_TOO_OFTEN,
    DECISIONS_TOO_OFTEN,
    READS_TOO_OFTEN,
    Unserved {
        requests: ANY,
        status: 431,
        code: "",
        meaning: "The request's head is above 16 KiB or has more than 32 headers.",
        what_to_do: "Send fewer or shorter headers.",
    },
    CORRUPT,
    STORE,
    INTERNAL,
    OPERATION_UNRECEIPTED,
    STAGE_FAILED,
    HISTORY,
    STARTING,
    FILES_BUSY,
    AUDIT_BUSY,
    AUDIT_UNAVAILABLE,
    NOTICES_UNAVAILABLE,
    ARCHIVE_BUSY,
    ARCHIVE_UNAVAILABLE,
    CHAIN_UNREACHABLE,
    STAGE_DEGRADED,
    SETTLEMENT_LAGS,
    CLOCK_DISAGREES,
    JOURNAL_AHEAD,
    DISK_LOW,
    NO_NEW_KEYS,
    FILES_DAMAGED,
    DRAINING,
    PAUSED,
    OPERATIONS_BUSY,
    OPERATIONS_CLOSED,
    ERASURE_NOT_KEPT,
    DECISIONS_CLOSED,
    OPERATION_UNACKNOWLEDGED,
];

/// Requests that change the registry.
const CHANGES: &[&str] = &["change HEX", "issue HEX", "renew HEX"];

/// Requests about certificates that were asked for, or are to end.
const CERTIFICATES: &[&str] = &["issued ROLE NAME HEX", "revoke HEX"];

/// Requests that hold bytes.
const BYTES: &[&str] =
    &["change HEX", "issue HEX", "renew HEX", "issued ROLE NAME HEX", "revoke HEX"];

pub(crate) const REQUEST_UNKNOWN: Unserved = Unserved {
    requests: ANY,
    status: 0,
    code: "expected `list`, `status`, `renewals`, `end`, `pin`, `change HEX`, `issue HEX`, `renew HEX`, `issued \
           ROLE NAME HEX`, `revoke HEX` or `order JSON`",
    meaning: "The line is no request.",
    what_to_do: "Use `sequencer org | device | identity | status | backup | journal inspect | tune | \
                 pause | resume | seal | drain | erase | hold`.",
};

pub(crate) const CHANGE_NOT_HEX: Unserved = Unserved {
    requests: BYTES,
    status: 0,
    code: "expected hex digits as the last word",
    meaning: "The last word is not hexadecimal, or no fingerprint of 32 bytes.",
    what_to_do: "Send the canonical bytes of the change, the certificate in DER or the \
                 fingerprint as hex digits.",
};

pub(crate) const ANSWER_LATE: Unserved = Unserved {
    requests: ANY,
    status: 0,
    code: "the node did not decide within 30 s",
    meaning: "The writer or the disk did not come to the request in time; a change may still be \
              made, and an order carried out.",
    what_to_do: "Look with `sequencer KIND list` whether it was made; look after the disk and ask \
                 again.",
};

pub(crate) const PIN_PANICKED: Unserved = Unserved {
    requests: &["pin"],
    status: 0,
    code: "the task that says where a backup ends panicked",
    meaning: "No backup is begun; nothing else of the node is concerned.",
    what_to_do: "Ask again; if it comes back, report it with the node's log.",
};

pub(crate) const KEYS_PANICKED: Unserved = Unserved {
    requests: KEYS,
    status: 0,
    code: "the task that answers about the keys of bodies panicked",
    meaning: "What was asked for may be done or not; nothing else of the node is concerned.",
    what_to_do: "Look with `sequencer keys status` and ask again; if it comes back, report it with \
                 the node's log.",
};

pub(crate) const ORDER_PANICKED: Unserved = Unserved {
    requests: ORDERS,
    status: 0,
    code: "the task that carries an order out panicked",
    meaning: "What was ordered may be done or not; nothing else of the node is concerned.",
    what_to_do: "Look with `sequencer status` and `sequencer tune list`; if it comes back, report it \
                 with the node's log.",
};

pub(crate) const PEER_UNKNOWN: Unserved = Unserved {
    requests: ORDERS,
    status: 0,
    code: "the system does not say who asks",
    meaning: "Nothing is done: an order is written down with the user that it came from.",
    what_to_do: "Order again; if it comes back, look at the machine.",
};

/// What operators order.
const ORDERS: &[&str] = &["order JSON"];

/// Requests about the keys of bodies.
const KEYS: &[&str] = &["keys", "backup-keys"];

/// What the admin socket answers other than the thing asked for; `code` is the whole text, or in
/// brackets what it is made of.
pub const ADMIN: &[Unserved] = &[
    REQUEST_UNKNOWN,
    CHANGE_NOT_HEX,
    ANSWER_LATE,
    PIN_PANICKED,
    KEYS_PANICKED,
    ORDER_PANICKED,
    PEER_UNKNOWN,
    Unserved {
        requests: ORDERS,
        status: 0,
        code: "[what was expected of the order, its key or its value, in the words of the file]",
        meaning: "It is no order, or the node does not change the key while it runs, or the value is \
                  none that the configuration may have; nothing is changed.",
        what_to_do: "Look with `sequencer tune list` which keys are live; what each may be stands in \
                     [configuration](configuration.md).",
    },
    Unserved {
        requests: ORDERS,
        status: 0,
        code: "[that the node is paused]",
        meaning: "A node that is paused is not drained: the one would wait for the other.",
        what_to_do: "`sequencer resume`, and drain it then.",
    },
    Unserved {
        requests: ORDERS,
        status: 0,
        code: "[what keeps `operator.log` from being written, or `paused.json` from being removed]",
        meaning: "Nothing is done without a line that says by whom, but for a pause, a resume and a \
                  reset; a pause holds as long as its note cannot be removed.",
        what_to_do: "Make room in the node's folder, or move a full `operator.log` away and keep it; \
                     then order again.",
    },
    Unserved {
        requests: ORDERS,
        status: 0,
        code: "[what is missing of a request to erase, or keeps it from being carried out]",
        meaning: "The stop or what was collected before it is not on the chain, a legal hold is set, \
                  the request is not the patient's or not valid now, or nobody is enrolled there; \
                  nothing is erased. Of a tombstone that stands already: keys are left.",
        what_to_do: "Do what it says ([erasing a patient](erasure.md)), and run `sequencer erase` \
                     with the same request again.",
    },
    Unserved {
        requests: KEYS,
        status: 0,
        code: "[what was expected of the request, or keeps the keys from being changed]",
        meaning: "The request is malformed, the file is there already, or the disk of the key \
                  folder did not answer.",
        what_to_do: "Do what it says, and run the command of `sequencer keys` again.",
    },
    Unserved {
        requests: &["pin"],
        status: 0,
        code: "[what keeps the rows of the store from being copied]",
        meaning: "Disk or database did not answer, or there is no room for the copy in `store/`.",
        what_to_do: "Do what it says, and run `sequencer backup` again.",
    },
    Unserved {
        requests: CHANGES,
        status: 0,
        code: "[offset, what was expected]",
        meaning: "The bytes are no registry change.",
        what_to_do: "Use program and node of one version.",
    },
    Unserved {
        requests: CHANGES,
        status: 0,
        code: "[the rule that the change breaks]",
        meaning: "The registry refuses the change; nothing is changed.",
        what_to_do: "Look with `sequencer KIND list` which ids stand and have not ended.",
    },
    Unserved {
        requests: ANY,
        status: 0,
        code: "[too many items wait, or the writer stopped or failed]",
        meaning: "The node takes the request not now, or not any more.",
        what_to_do: "If too many wait, ask again; otherwise read the log and start the node again.",
    },
    Unserved {
        requests: &["issue HEX", "renew HEX"],
        status: 0,
        code: "[that the id has a record, or has none]",
        meaning: "Another command registered or revoked it meanwhile; nothing is changed.",
        what_to_do: "Look with `sequencer identity list`, then renew or issue.",
    },
    Unserved {
        requests: CERTIFICATES,
        status: 0,
        code: "[that no request waits, or no certificate has this fingerprint]",
        meaning: "It was ended, replaced or asked for anew meanwhile, or the node began anew; \
                  nothing is changed.",
        what_to_do: "Ask with `sequencer identity renew --all` once more; look with `sequencer \
                     identity list --json`.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_one_of_http_and_every_code_names_one_answer() {
        assert!(HTTP.is_sorted_by_key(|answer| answer.status));
        assert!(HTTP.iter().all(|answer| (400..600).contains(&answer.status)));
        for answer in HTTP.iter().chain(ADMIN).filter(|answer| !answer.code.is_empty()) {
            let same = |other: &&Unserved| other.code == answer.code;
            assert_eq!(HTTP.iter().chain(ADMIN).filter(same).count(), 1, "{}", answer.code);
        }
    }
}
