export const id = 887;
export const ids = [887];
export const modules = {

/***/ 887:
/***/ ((__unused_webpack___webpack_module__, __webpack_exports__, __webpack_require__) => {


// EXPORTS
__webpack_require__.d(__webpack_exports__, {
  runStop: () => (/* binding */ runStop)
});

// UNUSED EXPORTS: runStart

// EXTERNAL MODULE: ./node_modules/@actions/core/lib/core.js + 12 modules
var lib_core = __webpack_require__(143);
;// CONCATENATED MODULE: ./lib/postgres/server-message.js
/**
 * What is shown of a server's message. Some messages quote values of rows (`invalid input syntax for type integer: "4111"`), and
 * a function of the database can put anything into one (`RAISE EXCEPTION 'bad card %'`). So of errors about data nothing is
 * shown but words that are known to be PostgreSQL's own, and of what user code raised nothing but its SQLSTATE. DETAIL, HINT
 * and CONTEXT are shown of no error at all (docs/threat-model.md).
 */
const server_message_hidden = "the server's own words are not shown, since they may quote values";
/** Classes whose messages name objects, settings and states, but no values (PostgreSQL, "PostgreSQL Error Codes"). */
const plainClasses = /^(0[0-9AB]|0LP?|0P|2[1458]|2B|2D|3[DF]|40|42|5[34578]|72|F0|XX)/;
/** SQLSTATEs of what is looked up by name: of objects, parameters, types. */
const lookedUp = /^(0A000|3D000|3F000|42(?!501))/;
/** Statements that compute expressions of rows in no function, which a CONTEXT would tell. */
const ofRows = /^\s*(REFRESH MATERIALIZED VIEW|ALTER TABLE\b.*\b(CHECK \(|VALIDATE CONSTRAINT))/s;
/** Sources of messages that user code words: PL/pgSQL, PL/Perl, PL/Python, PL/Tcl, PL/v8, PL/R, PL/Java, PL/Rust, PL/sh. */
const languages = /^(pl_|pl[a-z]+[_.]|plpy_|SPI\.c|Exception\.c)|\.(cc|cpp|rs|xs)$/;
/** Places in a CONTEXT where the text of a message, or of a statement that it quotes, was put together while it ran. */
const madeUp = /\b(RAISE|ASSERT|EXECUTE)\b|^PL\/(?!pgSQL)|^\w*pl(perl|python|tcl|v8|r)\w*\b/im;
const server_message_name = '"(?:[^"]|"")*"';
/** The beginnings of PostgreSQL's own messages that hold no value; what follows is cut off. */
const ownWords = [
    'invalid input syntax for (?:type )?[a-z][a-z ]*',
    'invalid internal value for enum',
    'invalid input value for enum [a-z_][a-z0-9_.]*',
    'invalid byte sequence for encoding "[A-Za-z0-9_]+"',
    'character with byte sequence',
    'value too long for type [a-z ]+\\(\\d+\\)',
    '(?:smallint|integer|bigint|oid|real|numeric) out of range',
    '(?:date|time|timestamp|interval|date/time field)(?: field)?(?: value)? out of range',
    'numeric field overflow',
    'division by zero',
    'malformed (?:array|record|range|multirange) literal',
    'bit string (?:length|too long)',
    'invalid (?:Unicode|escape|hexadecimal|regular expression|XML|cidr|inet|name)',
    `invalid (?:value for parameter|extension name:) ${server_message_name}`,
    `security label provider ${server_message_name} is not loaded`,
    'unsupported Unicode escape sequence',
    `unrecognized (?:configuration )?parameter ${server_message_name}`,
    'missing data for column',
    'extra data after last expected column',
    '(?:literal|unquoted) (?:carriage return|newline) found in data',
    'cannot (?:cast|convert|extract|subscript|call|set|get|delete|replace|take) [a-z ]+',
    `null value in column ${server_message_name}(?: of relation ${server_message_name})? violates not-null constraint`,
    `new row for relation ${server_message_name} violates (?:check constraint|partition constraint)(?: ${server_message_name})?`,
    `new row violates row-level security policy(?: ${server_message_name})? for (?:table|relation) ${server_message_name}`,
    `value for domain \\S+ violates check constraint ${server_message_name}`,
    'domain \\S+ does not allow null values',
    `duplicate key value violates unique constraint ${server_message_name}`,
    `conflicting key value violates exclusion constraint ${server_message_name}`,
    `could not create (?:unique index|exclusion constraint) ${server_message_name}`,
    `(?:insert or update|update or delete) on table ${server_message_name} violates (?:foreign key|RESTRICT setting of foreign key) constraint ${server_message_name}(?: on table ${server_message_name})?`,
    `check constraint ${server_message_name} of relation ${server_message_name} is violated by some row`,
    `partition constraint of relation ${server_message_name} is violated by some row`,
    `column ${server_message_name} of (?:relation|table) ${server_message_name} contains null values`,
    `no partition of relation ${server_message_name} found for row`,
].map((words) => new RegExp(`^${words}`, 's'));
/** … and what else a client program may be told, which prints no SQLSTATE. */
const ofPrograms = [
    'permission denied(?: for [a-z -]+| to [a-z -]+)?(?: \\S+)?$',
    `query would be affected by row-level security policy for table ${server_message_name}$`,
    `(?:relation|schema|role|database|type|column|extension|language|large object|collation|server) (?:${server_message_name}|\\d+)(?: of relation ${server_message_name})? (?:does not exist|already exists)$`,
    "function [^']* does not exist$",
    "operator does not exist: [^']*$",
    'terminating connection[a-z ]*',
    'canceling (?:statement|autovacuum)[a-z ]*',
    'the database system is[a-z ()]*',
    'deadlock detected$',
    'could not serialize access',
    '(?:sorry, )?too many (?:connections|clients)[a-z ]*',
    'remaining connection slots[a-z ]*',
    'out of (?:shared )?memory$',
    'invalid memory alloc request size',
    'could not (?:extend|open|read|write|fsync|access|resize|load|obtain|find|determine)',
    'invalid page in block',
    'missing chunk number',
    'unexpected chunk',
    'compressed (?:data|pglz data|lz4 data) is corrupt',
    'cannot execute [A-Z ]+ in a read-only transaction$',
    'current transaction is aborted',
    'invalid snapshot',
    'snapshot too old',
    `(?:parameter|configuration) ${server_message_name}`,
    'lock timeout',
    'must be (?:owner|superuser|member)',
    'password authentication failed',
    'no pg_hba\\.conf entry',
    'cached plan must not change',
    'tuple concurrently',
].map((words) => new RegExp(`^${words}`, 's'));
/** Whether something thrown is a server's error: `pg` gives it a SQLSTATE and a severity. */
function isServerError(error) {
    const { code, message, severity } = (error ?? {});
    return (typeof message === 'string' &&
        typeof code === 'string' &&
        /^[0-9A-Z]{5}$/.test(code) &&
        severity !== undefined);
}
/** Whether code of the database worded an error, or made the statement that failed. */
function isRaised({ file = '', where = '' }) {
    return languages.test(file) || madeUp.test(where);
}
/**
 * Whether a name in a message may be a value: what a statement names itself has a position in it, while an expression can make a name
 * of any value (`t.name::regclass`, current_setting(t.name)).
 */
function mayNameValue(error, statement) {
    const { code, message, where, position, internalPosition } = error;
    if (!lookedUp.test(code))
        return false;
    if (/^invalid type name /m.test(where ?? ''))
        return true;
    if (position || internalPosition)
        return false;
    const text = statement.replaceAll('"', '');
    const named = [...message.matchAll(/"((?:[^"]|"")*)"/g)].map(([, one = '']) => one);
    return Boolean(where) || (ofRows.test(statement) && !named.every((one) => text.includes(one)));
}
/** The words of a message without the names in it. */
function withoutNames(message) {
    const words = message.replace(/(["']).*\1/s, '$1…$1');
    return words === message ? message.replace(/: .*$/s, ': …') : words;
}
/**
 * What may be shown of an error or warning that `pg` handed over.
 *
 * @param statement that has failed, where one is known
 * @returns one line: the server's words, those that are known to hold no value, or the names of the objects concerned
 */
function shownMessage(error, statement = '') {
    const { message, code } = error;
    const raised = isRaised(error);
    if (!raised) {
        const words = known(ownWords, message);
        if (words !== undefined && !plainClasses.test(code))
            return words;
        // an internal error or a refused parameter may be an extension's, which may quote what it likes
        if (/^(XX000|22023)$/.test(code))
            return oneLine(message.replace(/(["']).*\1/s, '$1…$1'));
        if (plainClasses.test(code))
            return oneLine(mayNameValue(error, statement) ? withoutNames(message) : message);
    }
    const { schema, table, column, constraint } = error;
    const names = [
        ...(table ? [`table ${schema ? `${schema}.` : ''}${table}`] : []),
        ...(column ? [`column ${column}`] : []),
        ...(constraint ? [`constraint ${constraint}`] : []),
    ];
    const what = /^P0/.test(code) || raised ? 'code of the database raised an error' : 'an error';
    // RAISE … USING TABLE puts anything into these fields as well
    return oneLine(`${what} [${code}]${raised || names.length === 0 ? '' : ` of ${names.join(', ')}`}; ${server_message_hidden}`);
}
/**
 * What may be shown of a line of a client program's: its own words as they are, those of the server behind `ERROR:` where they
 * are known.
 *
 * @param raised the program has printed a CONTEXT of user code
 */
function shownLine(line, raised = false) {
    const found = /^(.*?\b(?:ERROR|FATAL|PANIC):\s+)(.*)$/s.exec(line);
    if (!found)
        return line;
    const [, before = '', words = ''] = found;
    const shown = raised ? undefined : (known(ownWords, words) ?? known(ofPrograms, words));
    return `${before}${shown ?? server_message_hidden}`;
}
/** Whether a CONTEXT that a program printed says that user code was running: everything but the place in a COPY. */
function isContextOfCode(line) {
    return /^CONTEXT: +(?! |COPY |while )/.test(line);
}
/**
 * What may be shown of a program's message by what it prints after it: of user code nothing, and where nothing but the place in a COPY
 * is said, not even what was looked up there, since a row may have named it (see mayNameValue).
 */
class WhatFollows {
    isPlaced = false;
    /** @returns what is to be shown of the message instead, where that changes */
    read(line, message) {
        this.isPlaced ||= /^(LINE \d+|QUERY): /.test(line);
        if (isContextOfCode(line))
            return shownLine(message, true);
        if (this.isPlaced || !/^CONTEXT: +COPY /.test(line))
            return undefined;
        const [, before = '', words = ''] = /^(.*?\b(?:ERROR|FATAL|PANIC):\s+)(.*)$/s.exec(message) ?? [];
        const isLookedUp = / does not exist\b|^unrecognized |dotted names|not implemented: /.test(words);
        return isLookedUp ? before + withoutNames(words) : undefined;
    }
}
/**
 * What may be kept of a client program's stderr: the lines that begin a message of the program itself, without what goes on
 * with a server's message. An error waits for what comes after it, which may say that code of the database raised it.
 */
class ProgramLines {
    program;
    write;
    waiting;
    follows = new WhatFollows();
    constructor(program, write) {
        this.program = program;
        this.write = write;
    }
    read(line) {
        if (!line.startsWith(`${this.program}: `)) {
            if (this.waiting !== undefined)
                this.waiting = this.follows.read(line, this.waiting) ?? this.waiting;
            return;
        }
        this.end();
        this.waiting = line;
    }
    /** To be called when nothing more comes. */
    end() {
        if (this.waiting !== undefined)
            this.write(shownLine(this.waiting));
        this.waiting = undefined;
        this.follows = new WhatFollows();
    }
}
function known(patterns, message) {
    for (const pattern of patterns) {
        const words = pattern.exec(message)?.[0];
        if (words === undefined)
            continue;
        // patterns that end with $ hold the whole message, others leave out what they do not know
        return oneLine(words);
    }
    return undefined;
}
function oneLine(text) {
    return text.replace(/\s+/g, ' ').trim();
}

;// CONCATENATED MODULE: ./lib/failure.js

/**
 * A failure that we understand: what happened, why, and what to do next. Everything else that is thrown is a defect
 * and keeps its own message and stack. No field may ever hold a secret: fields reach logs, summaries and reports.
 */
class failure_Failure extends Error {
    name = 'Failure';
    /** The reason, in one line, mostly what the server or the program said. */
    why;
    /** The next step, in one line. */
    remedy;
    /** The five-character SQLSTATE, where a server gave one. */
    sqlstate;
    /** Both sides were compared and differ, and nothing went wrong but that. */
    isDifference;
    /** Lines to paste that the remedy speaks of, where there are any: SQL, or inputs of the workflow. */
    paste;
    constructor(what, why, remedy, options = {}) {
        super(what, 'cause' in options ? { cause: options.cause } : undefined);
        this.why = why;
        this.remedy = remedy;
        this.sqlstate = options.sqlstate;
        this.isDifference = options.isDifference ?? false;
        this.paste = options.paste;
    }
    /** The same failure with another next step. */
    withRemedy(remedy) {
        const { message, why, sqlstate, isDifference, paste, cause } = this;
        return new failure_Failure(message, why, remedy, { cause, sqlstate, isDifference, paste });
    }
    /** The failure as the one line that a step ends with: what, why, next step. */
    get line() {
        const end = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);
        return [this.message, this.why, this.remedy]
            .filter(Boolean)
            .map(end)
            .join(' ')
            .replace(/\s+/g, ' ');
    }
}
/** Whether failures are differences, each of them. */
function areDifferences(errors) {
    return errors.every((error) => error instanceof failure_Failure && error.isDifference);
}
/** The run was cancelled: by the runner's signal or by the caller's. Never retried, reported as `cancelled`. */
class failure_Cancelled extends Error {
    name = 'Cancelled';
    /** When, on the clock of `performance.now()`. */
    at = performance.now();
    constructor(reason = 'The job was cancelled.') {
        super(reason);
    }
}
/**
 * The message of anything that was thrown, or that a server noted, in one line; of a server's error what may be shown of it (see
 * shownMessage).
 */
function failure_messageOf(error) {
    if (error instanceof failure_Failure)
        return error.line;
    if (error instanceof AggregateError && error.errors.length > 0)
        return error.errors.map(failure_messageOf).join('; ');
    if (isServerError(error))
        return shownMessage(error);
    // a notice of the server has a message and is no Error
    const { message } = (error ?? {});
    return (typeof message === 'string' ? message : String(error)).replace(/\s+/g, ' ').trim();
}

;// CONCATENATED MODULE: ./lib/host/secrets.js
/** Values registered so far, longest first, so that a secret within another does not leave the rest readable. */
const secrets_known = new Set();
let ordered = [];
/**
 * Remembers a secret for `redact`, in every form in which it may turn up: as it is, line by line, percent-encoded, base64 (of
 * itself and as part of `user:password`), JSON-escaped.
 *
 * @returns those forms that were not known, for whoever else masks them
 */
function rememberSecret(secret) {
    const forms = new Set();
    for (const text of [secret, secret.trim(), ...secret.split(/\r?\n/)]) {
        if (text === '')
            continue;
        forms.add(text);
        forms.add(encodeURIComponent(text));
        forms.add(encodeURI(text));
        forms.add(encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`));
        forms.add(JSON.stringify(text).slice(1, -1));
        forms.add(text.replace(/[\\:]/g, '\\$&')); // as a password file has it
        forms.add(text.replaceAll("'", "''"));
        const base64 = Buffer.from(text).toString('base64');
        forms.add(base64);
        // base64 of anything that ends in the secret (user:password): the inner groups at each of the three alignments
        for (const pad of [1, 2]) {
            const inner = Buffer.from(`${'x'.repeat(pad)}${text}`)
                .toString('base64')
                .slice(4)
                .replace(/=+$/, '');
            if (inner.length >= 8)
                forms.add(inner.slice(0, inner.length - (inner.length % 4 || 0)) || inner);
        }
    }
    const unknown = [...forms].filter((form) => form !== '' && !secrets_known.has(form));
    for (const form of unknown)
        secrets_known.add(form);
    ordered = [...secrets_known].sort((a, b) => b.length - a.length);
    return unknown;
}
/**
 * What is secret in a connection string, before anybody has parsed it: the password alone, and the whole of the text when it
 * holds one. A runner masks only what it was told, so the whole URI as a secret leaves its password readable.
 */
function secrets_secretsIn(connectionString) {
    const text = connectionString;
    const inUri = /^\s*postgres(?:ql)?:\/\/[^/?#]*?:([\s\S]*)@/.exec(text)?.[1];
    const inQuery = /[?&](?:password|sslpassword)=([^&\s]*)/.exec(text)?.[1];
    const pair = /(?:^|\s)(?:password|sslpassword)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)+))/su.exec(text);
    const unescaped = [pair?.[1], pair?.[2]].map((value) => value?.replace(/\\(.)/gsu, '$1'));
    const found = [inUri, inQuery, ...unescaped].filter((value) => value !== undefined);
    const passwords = found.filter((value) => value !== '');
    return passwords.length === 0
        ? []
        : [...passwords.flatMap((value) => [value, decoded(value)]), text.trim()];
}
function decoded(text) {
    try {
        return decodeURIComponent(text);
    }
    catch {
        return text; // not percent-encoded
    }
}
/** The text with every remembered secret replaced. A second belt beside a runner's masking, and the only one for files and terminals. */
function redact(text) {
    let result = text;
    for (const secret of ordered)
        if (result.includes(secret))
            result = result.replaceAll(secret, '***');
    return result;
}
/**
 * The report with free text redacted, for what a server or a program said may repeat a secret. Names of objects are left alone.
 * What of it holds no secret is the same as in the report that is given.
 */
function redactedReport(report) {
    const free = new Set('message cause remedy paste reason statement explained what'.split(' '));
    const isFree = (within, key) => free.has(key) ||
        within === 'warnings' ||
        within === 'basis' ||
        // a default or a function's body may hold anything
        (within === 'definitions' && (key === 'source' || key === 'target'));
    const copy = (value, within) => {
        if (typeof value !== 'object' || value === null)
            return value;
        let isChanged = false;
        const entries = Object.entries(value).map(([key, inner]) => {
            const shown = typeof inner === 'string' && isFree(within, key)
                ? redact(inner)
                : copy(inner, Array.isArray(value) ? within : key);
            isChanged ||= shown !== inner;
            return [key, shown];
        });
        // of a report of many tables nearly all stays as it is
        if (!isChanged)
            return value;
        return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
    };
    return copy(report, '');
}

;// CONCATENATED MODULE: ./lib/migration/duration.js
/**
 * Reads a length of time as an input gives it: `90m`, `1h30m`, `5400s`, `7d`.
 *
 * @returns seconds, above 0; undefined where it is none
 */
function parseDuration(text) {
    const [, days, hours, minutes, seconds] = /^(?=\d)(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?$/.exec(text.trim()) ?? [];
    const value = Number(days ?? 0) * 86_400 +
        Number(hours ?? 0) * 3600 +
        Number(minutes ?? 0) * 60 +
        Number(seconds ?? 0);
    return value > 0 ? value : undefined;
}

;// CONCATENATED MODULE: ./lib/migration/input-reader.js


/**
 * Reads the inputs of an action, each in one way, and collects what is wrong with them.
 *
 * @param get the text of an input, '' when it is not set
 * @param found what is wrong already
 */
function input_reader_readInputs(get, found = []) {
    const mistakes = [...found];
    const wrong = (name, given, allowed) => {
        mistakes.push(`${name}: ${given}; ${allowed}`);
        return undefined;
    };
    const shown = (text) => `"${text.length > 60 ? `${text.slice(0, 60)}…` : text}"`;
    return {
        /** Notes a mistake: what was given (never a secret) and what is allowed. */
        wrong,
        /** A text as a message quotes it. */
        shown,
        optional: (name) => get(name) || undefined,
        choice(name, allowed, fallback) {
            const text = get(name) || fallback;
            return allowed.includes(text)
                ? text
                : wrong(name, shown(text), `allowed: ${allowed.join(', ')}`);
        },
        boolean(name, fallback) {
            const text = get(name).toLowerCase() || String(fallback);
            return text === 'true' || text === 'false'
                ? text === 'true'
                : wrong(name, shown(text), 'allowed: true, false');
        },
        number(name, least, most) {
            const text = get(name);
            if (text === '')
                return undefined;
            const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
            return value >= least && value <= most
                ? value
                : wrong(name, shown(text), `allowed: a whole number from ${least} to ${most}`);
        },
        /** A length of time as `parseDuration` reads it, in seconds. */
        duration(name) {
            const text = get(name).trim();
            if (text === '')
                return undefined;
            return (parseDuration(text) ?? wrong(name, shown(text), 'allowed: such as 90m, 1h30m, 5400s or 7d'));
        },
        lines: (name) => get(name)
            .split('\n')
            .map((line) => line.trim())
            .filter(Boolean),
        /** What `parse` returns; what it throws becomes a mistake of the input. */
        attempt(name, parse) {
            try {
                return parse();
            }
            catch (error) {
                return wrong(name, failure_messageOf(error), 'see docs/reference.md');
            }
        },
        /** @throws Failure with all mistakes, when there are any */
        refuse(remedy) {
            if (mistakes.length === 0)
                return;
            throw new failure_Failure(mistakes.length === 1 ? 'An input is wrong' : `${mistakes.length} inputs are wrong`, mistakes.join(' | '), remedy);
        },
    };
}

;// CONCATENATED MODULE: ./lib/runner/inputs.js


/** Inputs whose value is a secret, in both actions. */
const secretInputs = ['github-token'];
/** The runner that is installed unless another is asked for; its checksums are those of its release notes. */
const pinned = {
    version: '2.337.0',
    sha256: {
        x64: '70920811a4f8ad4328818682bca5c6469c1c942fab52448868071d0063816613',
        arm64: '9b1dc70626422526e3c94767cf024896beb15da5342a3f4819bf2feac13e0393',
    },
};
const remedy = 'Correct the step in the workflow; docs/runner.md lists every input';
/** @throws Failure with all mistakes together */
function inputs_parseStartInputs(get) {
    const reader = readInputs(get);
    const { wrong, shown, number, lines } = reader;
    const list = (name) => lines(name).flatMap((line) => line.split(/[\s,]+/).filter(Boolean));
    const ids = (name, pattern, allowed) => {
        const values = list(name);
        if (values.length === 0)
            wrong(name, 'it is not set', `allowed: ${allowed}`);
        for (const value of values) {
            if (!pattern.test(value))
                wrong(name, shown(value), `allowed: ${allowed}`);
        }
        return values;
    };
    const common = parseCommon(reader, get);
    const githubToken = get('github-token').trim();
    if (githubToken === '')
        wrong('github-token', 'it is not set', 'allowed: a token with the repository permission administration: write; github.token has it never');
    const vswitches = ids('vswitch', /^vsw-[a-z0-9]+$/, 'ids of vSwitches as vsw-…, one a line');
    const types = ids('instance-types', /^ecs\.[a-z0-9.-]+$/, 'instance types as ecs.…, one a line');
    const [securityGroup = ''] = ids('security-group', /^sg-[a-z0-9]+$/, 'one id as sg-…');
    const image = get('image');
    if (!/^[A-Za-z][A-Za-z0-9._:-]{1,127}$/.test(image))
        wrong('image', shown(image), 'allowed: the id of an image, or a family as acs:ubuntu_24_04_x64');
    const runnerVersion = get('runner-version') || pinned.version;
    if (!/^2\.\d{1,4}\.\d{1,3}$/.test(runnerVersion))
        wrong('runner-version', shown(runnerVersion), 'allowed: a version of actions/runner as 2.337.0');
    const sums = list('runner-sha256').map((sum) => sum.toLowerCase());
    for (const sum of sums) {
        if (!/^((x64|arm64)=)?[0-9a-f]{64}$/.test(sum))
            wrong('runner-sha256', shown(sum), 'allowed: 64 hexadecimal digits, or x64=… and arm64=…');
    }
    if (runnerVersion !== pinned.version && sums.length === 0)
        wrong('runner-sha256', 'it is not set', `allowed: the SHA-256 from the notes of release ${runnerVersion}; only that of ${pinned.version} is known here`);
    const inputs = {
        ...common,
        githubToken,
        candidates: types.flatMap((instanceType) => vswitches.map((vswitch) => ({ vswitch, instanceType }))),
        securityGroup,
        image,
        diskGib: number('disk-gib', 20, 32768) ?? 100,
        publicBandwidth: number('public-bandwidth', 0, 100) ?? 0,
        runnerVersion,
        runnerSha256: sums.length === 0 ? pinned.sha256 : sumsByProcessor(sums),
        runnerMirrors: lines('runner-mirrors'),
        limitMinutes: number('limit-minutes', 30, 7200) ?? 720,
        waitMinutes: number('wait-minutes', 1, 60) ?? 10,
    };
    for (const mirror of inputs.runnerMirrors) {
        if (!/^https?:\/\/[A-Za-z0-9.:/_~%-]+$/.test(mirror))
            wrong('runner-mirrors', 'one is no plain http(s) URL', 'allowed: base URLs without user, password or query, one a line');
    }
    reader.refuse(remedy);
    return inputs;
}
/** @throws Failure with all mistakes together */
function parseStopInputs(get) {
    const reader = input_reader_readInputs(get);
    const mode = reader.choice('mode', ['stop', 'sweep'], 'stop');
    const inputs = { ...parseCommon(reader, get), mode };
    reader.refuse(remedy);
    return inputs;
}
function parseCommon(reader, get) {
    const { wrong, shown, optional, choice } = reader;
    const name = get('name') || 'polardb';
    if (!/^[a-z][a-z0-9-]{0,23}$/.test(name))
        wrong('name', shown(name), 'allowed: up to 24 lower-case letters, digits and hyphens');
    const region = get('region');
    if (!/^[a-z]{2,4}-[a-z]+[a-z0-9-]*$/.test(region))
        wrong('region', region ? shown(region) : 'it is not set', 'allowed: a region as cn-hangzhou');
    const cluster = optional('cluster');
    if (cluster && !/^pc-[a-z0-9]+$/.test(cluster))
        wrong('cluster', shown(cluster), 'allowed: the id of a PolarDB cluster as pc-…');
    const endpoint = (input) => {
        const text = optional(input)?.replace(/\/$/, '');
        return text && !/^https?:\/\/[A-Za-z0-9.:-]+$/.test(text)
            ? wrong(input, 'it is no plain http(s) address', 'allowed: https:// and a host')
            : text;
    };
    return {
        name,
        region,
        cluster,
        githubToken: get('github-token').trim() || undefined,
        network: choice('network', ['public', 'vpc'], 'public'),
        ecsEndpoint: endpoint('ecs-endpoint'),
        polardbEndpoint: endpoint('polardb-endpoint'),
    };
}
function sumsByProcessor(sums) {
    return Object.fromEntries(sums.flatMap((sum) => {
        const [processor, digits] = sum.includes('=') ? sum.split('=') : [undefined, sum];
        return processor
            ? [[processor, digits]]
            : [
                ['x64', digits],
                ['arm64', digits],
            ];
    }));
}
/** The key from the environment, as `aliyun/configure-aliyun-credentials-action` leaves it there. @throws Failure */
function readCredentials(environment) {
    const { ALIBABA_CLOUD_ACCESS_KEY_ID: accessKeyId = '', ALIBABA_CLOUD_ACCESS_KEY_SECRET: accessKeySecret = '', ALIBABA_CLOUD_SECURITY_TOKEN: securityToken, } = environment;
    if (accessKeyId && accessKeySecret)
        return { accessKeyId, accessKeySecret, securityToken: securityToken || undefined };
    throw new failure_Failure('There is no key for Alibaba Cloud', 'ALIBABA_CLOUD_ACCESS_KEY_ID or ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set in the environment', 'Run aliyun/configure-aliyun-credentials-action with OIDC in a step before, or set both from secrets; docs/runner.md shows both');
}

// EXTERNAL MODULE: external "node:timers/promises"
var promises_ = __webpack_require__(8500);
;// CONCATENATED MODULE: ./lib/postgres/sqlstates.js
/**
 * What PostgreSQL's error codes mean to us, the one list of the whole program: by their code, or else by their class, which is
 * its first two characters (PostgreSQL, "PostgreSQL Error Codes").
 */
const meanings = {
    '08': { means: 'the connection was lost', so: ['passes', 'session lost'] },
    '0A000': { means: 'the server does not support this' },
    '22': { means: 'the data does not fit its type or setting' },
    '23': { means: 'the data violates a constraint' },
    // two sessions that give one name at the same time meet in the unique index of a catalog
    '23505': { means: 'the data violates a constraint', so: ['exists'] },
    '25006': {
        means: 'the session is read-only: the server is a standby, or default_transaction_read_only is on',
        so: ['refuses all'],
    },
    '28': { means: 'the server refused the login' },
    '2F': { means: 'a function broke a rule of SQL' },
    '40': { means: '', so: ['passes'] },
    '40001': { means: 'a serialization failure', so: ['passes', 'conflict'] },
    '40P01': { means: 'a deadlock', so: ['passes', 'conflict'] },
    '42501': { means: 'the account may not do this' },
    '42601': { means: 'the server does not know this syntax: it is older or different' },
    '42701': { means: 'a column of that name exists already', so: ['exists'] },
    '42704': { means: 'something that it needs does not exist' },
    '42710': { means: 'an object of that name exists already', so: ['exists'] },
    '42723': { means: 'a function of that name exists already', so: ['exists'] },
    '42883': { means: 'a function that it needs does not exist' },
    '42939': { means: 'the name is reserved' },
    '42P01': { means: 'a table that it needs does not exist' },
    '42P04': { means: 'a database of that name exists already', so: ['exists'] },
    '42P06': { means: 'a schema of that name exists already', so: ['exists'] },
    '42P07': { means: 'a table of that name exists already', so: ['exists'] },
    '53': { means: '', so: ['refuses all'] },
    '53100': { means: 'the disk of the server is full', so: ['refuses all'] },
    '53200': { means: 'the server is out of memory', so: ['refuses all'] },
    '53300': { means: 'the server has no free connection', so: ['passes', 'refuses all'] },
    '54': { means: 'a limit of the server is exceeded' },
    '55006': { means: 'the object is in use', so: ['passes'] },
    '55P02': { means: 'the parameter cannot be changed now' },
    '55P03': { means: 'a lock could not be had in time', so: ['passes', 'conflict'] },
    '57': { means: '', so: ['passes'] },
    // somebody cancelled it, since our sessions have no timeouts; see isTransient
    '57014': { means: 'the statement was cancelled', so: ['passes'] },
    '57P01': {
        means: 'the server was shut down or the session was ended',
        so: ['passes', 'session lost'],
    },
    '57P02': { means: 'the server crashed', so: ['passes', 'session lost'] },
    '57P03': {
        means: 'the server is starting up or shutting down',
        so: ['passes', 'session lost'],
    },
    // the database was dropped; a timeout for idle sessions, which would end the next one as well
    '57P04': { means: '', so: ['session lost'] },
    '57P05': { means: '', so: ['session lost'] },
    '58': { means: 'the operating system of the server reported an error', so: ['refuses all'] },
    XX: { means: 'an internal error of the server' },
};
/**
 * What servers answer to statements that they do not take over, by what is asked of them: limits of the server or the account,
 * no accidents (docs/polardb.md, "Role attributes" to "Settings of roles"). Codes, or the beginnings of some.
 */
const refusals = {
    'what takes a right': ['42501'],
    // no privilege; unknown to this version; a value it does not take; cannot be set so; not supported; no valid name
    setting: ['42501', '42704', '22023', '55P02', '0A000', '42602'],
    // no privilege; no such role; not this grantor's to give or take
    grant: ['42501', '42704', '0L', '0P000'],
    // no privilege, or the member has it the other way round on the target
    membership: ['42501', '0LP01'],
    // before 15 there is no such privilege
    'parameter grant': ['42501', '42601', '42704', '22023'],
    // no such provider
    'security label': ['22023', '42501', '0A000'],
    'login role': ['42501', '42601', '22023', '0A000'],
    // no such locale, or no such provider in this build
    collation: ['22023', '0A000', '42704'],
    // not allowed, not there, or not loaded by the server, as those that must be preloaded
    extension: ['42501', '22023', '0A000', '58P01', '42704', 'XX000', '55000', 'F0000'],
};
function find(sqlstate) {
    return meanings[sqlstate] ?? meanings[sqlstate.slice(0, 2)];
}
function has(sqlstate, consequence) {
    return find(sqlstate)?.so?.includes(consequence) ?? false;
}
/** The meaning of an SQLSTATE in a few words, by its code or else its class; empty where we know none. */
function meaningOf(sqlstate) {
    return find(sqlstate)?.means ?? '';
}
/**
 * Whether the same statement may well succeed a little later: the connection was lost, the server restarted or ran out
 * of connections, or another session was in the way.
 *
 * @param message what the server said with it
 */
function isTransient(sqlstate, message = '') {
    // the server has no better code where two sessions change one row of a catalog at once
    if (sqlstate === 'XX000')
        return message.includes('concurrently');
    // a timeout of the account's own will end it again
    if (sqlstate === '57014')
        return !message.includes('statement timeout');
    return has(sqlstate, 'passes');
}
/** Whether another session was in the way of a statement, which may then be said again at once. */
function isConflict(sqlstate, message) {
    return has(sqlstate, 'conflict') || /^tuple concurrently/.test(message);
}
/** Whether the session is gone. */
function endsSession(sqlstate) {
    return has(sqlstate, 'session lost');
}
/** Whether a client program could not go on for want of a connection: it was lost, or there was none to be had. */
function lacksConnection(sqlstate) {
    return endsSession(sqlstate) || sqlstate === '53300';
}
/** Whether every other statement would end in the same way: no storage, no memory, no connection, read-only, a broken disk. */
function refusesAll(sqlstate) {
    return has(sqlstate, 'refuses all');
}
/** Whether what a statement would make is there already. 23505 says so only of the unique index of a catalog. */
function saysExists(sqlstate) {
    return has(sqlstate, 'exists');
}
/** Whether the server's answer is a refusal that is known of it for statements of this kind. */
function refuses(sqlstate, what) {
    return refusals[what].some((start) => sqlstate.startsWith(start));
}
/** Whether a statement waited for others until it was ended. */
function endsWait(sqlstate) {
    return sqlstate === '55P03' || sqlstate === '57014';
}

;// CONCATENATED MODULE: ./lib/postgres/errors.js


/** What Node calls a connection that was lost or could not be had just now (libuv's and OpenSSL's names). */
const lostCodes = /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|EHOST(DOWN|UNREACH)|ENET(DOWN|RESET|UNREACH)|EAI_AGAIN|ERR_STREAM_(DESTROYED|PREMATURE_CLOSE|WRITE_AFTER_END)|ERR_SSL_UNEXPECTED_EOF_WHILE_READING)$/;
/** The same in the words of `pg`, whose own errors have no code. */
const lostWords = /^(Connection terminated( unexpectedly| due to connection timeout)?|Client has encountered a connection error and is not queryable|Client was closed and is not queryable|timeout expired)$/;
/**
 * Whether what failed is known to pass by itself: the connection, the server's state or another session is to blame.
 * Everything else, a defect above all, is final at once.
 *
 * @param error what was thrown: the server's error, one of Node's network, or a Failure made of one
 */
function errors_mayPass(error) {
    const sqlstate = error instanceof failure_Failure ? error.sqlstate : sqlstateOf(error);
    if (sqlstate !== undefined) {
        const said = error instanceof failure_Failure ? `${error.why} ${failure_messageOf(error.cause)}` : failure_messageOf(error);
        return isTransient(sqlstate, said);
    }
    const cause = error instanceof failure_Failure ? error.cause : error;
    const inner = cause instanceof AggregateError ? cause.errors[0] : cause;
    if (inner instanceof failure_Failure)
        return inner !== error && errors_mayPass(inner);
    const { code, message } = (inner ?? {});
    return typeof code === 'string' ? lostCodes.test(code) : lostWords.test(String(message));
}
/** The SQLSTATE of an error from `pg`, or undefined when it is not the server's. */
function sqlstateOf(error) {
    const { code, severity } = (error ?? {});
    return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && severity !== undefined
        ? code
        : undefined;
}

;// CONCATENATED MODULE: ./lib/migration/retry.js



/** Three and a half minutes in all (seconds): a cluster that restarts or fails over is back by then. */
const defaultPauses = [1, 2, 4, 8, 15, 30, 30, 60, 60];
/** What was tried until the tries were used up: whoever waits for a part does not try that part again. */
const givenUp = new WeakSet();
/**
 * Works until it is done: what fails and is known to pass is tried again, with growing pauses and a bounded number of times.
 * The one mechanism by which lost connections and restarts of a server heal.
 *
 * @param work called with the number of tries before it; a try that failed may have done its part, so the work must bear repetition
 * @returns what `work` returned
 * @throws what `work` threw, once it cannot pass or the tries are used up; Cancelled as soon as the signal has fired
 */
async function retrying(context, work, options = {}) {
    const { again = errors_mayPass, exhausted = stayedLost, interrupted } = options;
    const pauses = context.pauses ?? defaultPauses;
    const most = Math.min(options.most ?? pauses.length, pauses.length);
    for (let attempt = 0;; attempt++) {
        try {
            return await work(attempt);
        }
        catch (error) {
            if (context.signal.aborted || error instanceof failure_Cancelled)
                throw new failure_Cancelled();
            if (isGivenUp(error) || !again(error))
                throw error;
            const wait = pauses[attempt];
            if (wait === undefined || attempt >= most) {
                const last = exhausted(error);
                if (typeof last === 'object' && last !== null)
                    givenUp.add(last);
                throw last;
            }
            await interrupted?.(error);
            context.log.info(`${failure_messageOf(error)}; trying again in ${wait} s`);
            await retry_pause(wait, context.signal);
        }
    }
}
/**
 * The same for a look at a server that may be the first: one that cannot be reached at all, or not with these inputs, is told
 * at once; what is lost on the way is tried again.
 *
 * @param work must bear repetition
 * @throws as `retrying`
 */
async function lookingAgain(context, work) {
    let reached = false;
    return await retrying(context, work, {
        again: (error) => {
            // what fails in connecting is a Failure, what fails in a session is what the driver threw
            reached ||= !(error instanceof Failure);
            return reached && mayPass(error);
        },
    });
}
function stayedLost(error) {
    if (error instanceof failure_Failure)
        return error;
    return new failure_Failure('The connection was lost, and every new try ended in the same way', failure_messageOf(error), 'Look into the log of the server and at the network between, then run again', { cause: error, sqlstate: sqlstateOf(error) });
}
function isGivenUp(error) {
    return typeof error === 'object' && error !== null && givenUp.has(error);
}
/** A session that is opened when it is first needed, and anew after it was dropped. */
class LastingSession {
    open;
    current;
    constructor(open) {
        this.open = open;
    }
    async client() {
        this.current ??= await this.open();
        return this.current.client;
    }
    /** Closes it; never throws. */
    async drop() {
        const { current } = this;
        this.current = undefined;
        await current?.close();
    }
}
/** Waits so many seconds. @throws Cancelled as soon as the signal fires */
async function retry_pause(seconds, signal) {
    try {
        await (0,promises_.setTimeout)(seconds * 1000, undefined, { signal });
    }
    catch {
        throw new failure_Cancelled();
    }
}

;// CONCATENATED MODULE: ./lib/runner/http.js
/** What of an answer is JSON; undefined for anything else, such as a proxy's page. */
function parsedBody(response) {
    try {
        return JSON.parse(response.body);
    }
    catch {
        return undefined;
    }
}

// EXTERNAL MODULE: external "node:crypto"
var external_node_crypto_ = __webpack_require__(7598);
;// CONCATENATED MODULE: ./lib/runner/signature.js

/**
 * The headers of a request to an RPC API of Alibaba Cloud, signed with ACS3-HMAC-SHA256. The algorithm, and the example that the
 * test holds this against: "V3 request structure and signature", https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
 *
 * Signed here and not by a library: `@alicloud/openapi-core` brings 36 packages of 27 MB for it, and `@alicloud/pop-core` signs with
 * SHA-1.
 *
 * @param query the query string in canonical form; '' where all parameters are in the body
 */
function signedHeaders(request, credentials, { date = new Date(), nonce = (0,external_node_crypto_.randomUUID)(), query = '' } = {}) {
    const headers = {
        host: request.host,
        'x-acs-action': request.action,
        'x-acs-content-sha256': sha256(request.body),
        'x-acs-date': `${date.toISOString().slice(0, 19)}Z`,
        'x-acs-signature-nonce': nonce,
        'x-acs-version': request.version,
        ...(request.body ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
        ...(credentials.securityToken ? { 'x-acs-security-token': credentials.securityToken } : {}),
    };
    const signature = signatureOf('POST', query, headers, credentials.accessKeySecret);
    const names = Object.keys(headers).sort().join(';');
    headers.authorization = `ACS3-HMAC-SHA256 Credential=${credentials.accessKeyId},SignedHeaders=${names},Signature=${signature}`;
    return headers;
}
/** The signature of a request whose headers (names in lower case) are all signed. */
function signatureOf(method, query, headers, secret) {
    const names = Object.keys(headers).sort();
    const canonical = [
        method,
        '/',
        query,
        ...names.map((name) => `${name}:${headers[name]?.trim()}`),
        '',
        names.join(';'),
        headers['x-acs-content-sha256'] ?? '',
    ].join('\n');
    return (0,external_node_crypto_.createHmac)('sha256', secret)
        .update(`ACS3-HMAC-SHA256\n${sha256(canonical)}`)
        .digest('hex');
}
function sha256(text) {
    return (0,external_node_crypto_.createHash)('sha256').update(text).digest('hex');
}

;// CONCATENATED MODULE: ./lib/runner/alibaba.js




/** What an API refused. `code` decides what is made of it; the message is Alibaba Cloud's. */
class alibaba_AlibabaError extends Error {
    name = 'AlibabaError';
    action;
    code;
    status;
    /** The RAM action that the key lacks, where the answer names it. */
    denied;
    constructor(action, code, status, message, denied) {
        super(`${action}: ${code}: ${message}`);
        this.action = action;
        this.code = code;
        this.status = status;
        this.denied = denied;
    }
}
/** Codes that pass by themselves: load, a failing service, a cluster that is being changed by somebody else. */
const passing = /^(Throttling(\..*)?|ServiceUnavailable(\..*)?|InternalError(\..*)?|LastTokenProcessing|IdempotentProcessing|OperationDenied\.DBClusterStatus|ConcurrentTaskExceeded|IncorrectInstanceStatus(\..*)?|UnknownError)$/;
/** Calls RPC APIs of Alibaba Cloud with one key. What passes is tried again: callers give what may be made once a ClientToken. */
class Alibaba {
    world;
    credentials;
    constructor(world, credentials) {
        this.world = world;
        this.credentials = credentials;
    }
    /**
     * @returns the answer's fields
     * @throws AlibabaError for what is refused; Failure for a key that is not accepted or lacks a right, and for an address that
     *   does not answer; Cancelled
     */
    async call(api, action, parameters) {
        try {
            return await retrying(this.world, () => this.once(api, action, parameters), {
                again: (error) => (error instanceof alibaba_AlibabaError ? alibaba_mayPass(error) : true),
                exhausted: (error) => error,
            });
        }
        catch (error) {
            if (error instanceof failure_Cancelled)
                throw error;
            if (error instanceof alibaba_AlibabaError)
                throw refusal(error) ?? error;
            throw new failure_Failure(`${api.endpoint} could not be reached for ${action}`, failure_messageOf(error), 'Check region, the way of this job to the internet (https_proxy) or, inside a VPC, set network: vpc', { cause: error });
        }
    }
    async once(api, action, parameters) {
        const body = Object.entries(parameters)
            .filter(([, value]) => value !== undefined)
            .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value ?? '')}`)
            .join('&');
        const { host } = new URL(api.endpoint);
        const headers = signedHeaders({ host, action, version: api.version, body }, this.credentials);
        const sent = this.world.send({
            method: 'POST',
            url: `${api.endpoint}/`,
            headers: { ...headers, accept: 'application/json' },
            body,
        });
        const response = await orCancelled(sent, this.world.signal);
        const answer = (parsedBody(response) ?? {});
        if (response.status >= 200 && response.status < 300 && answer.RequestId !== undefined)
            return answer;
        const denied = answer.AccessDeniedDetail?.AuthAction;
        throw new alibaba_AlibabaError(action, typeof answer.Code === 'string' ? answer.Code : 'UnknownError', response.status, typeof answer.Message === 'string' ? answer.Message : `HTTP status ${response.status}`, typeof denied === 'string' ? denied : undefined);
    }
}
function alibaba_mayPass(error) {
    return passing.test(error.code) || error.status === 429;
}
/** A refusal that is the key's, in words; undefined for any other. */
function refusal(error) {
    const failure = (what, remedy) => new failure_Failure(what, error.message, remedy, { cause: error });
    const isRight = /^(Forbidden(\.RAM|\.NoPermission|\.SubUser)?|NoPermission)$/.test(error.code);
    if (isRight || error.denied !== undefined) {
        const right = error.denied ?? rightFor(error.action);
        return failure(`The RAM user or role has no right to ${right}`, `Allow ${right} in its policy; docs/runner.md has the whole policy to paste, with its conditions on tags`);
    }
    if (/^InvalidAccessKeyId/.test(error.code))
        return failure('Alibaba Cloud does not know the access key, or it is disabled', 'Check ALIBABA_CLOUD_ACCESS_KEY_ID, or the step that assumes the role');
    if (/^(SignatureDoesNotMatch|IncompleteSignature|InvalidSignature)/.test(error.code))
        return failure('Alibaba Cloud does not accept the signature: the secret does not belong to the access key', 'Check ALIBABA_CLOUD_ACCESS_KEY_SECRET for a missing character or a line break');
    if (/^(InvalidSecurityToken|MissingSecurityToken|SecurityTokenExpired)/.test(error.code))
        return failure('The security token of the assumed role is missing, wrong or expired', 'Assume the role again right before this step, and pass ALIBABA_CLOUD_SECURITY_TOKEN together with its key');
    if (/^(InvalidTimeStamp|IllegalTimestamp)/.test(error.code))
        return failure('The clock of this runner is more than 15 minutes off', 'Set the clock of the runner');
    return undefined;
}
function rightFor(action) {
    return `${/DBCluster/.test(action) ? 'polardb' : 'ecs'}:${action}`;
}
/** What `work` gives, unless the job is cancelled first; a request that was sent cannot be taken back. */
async function orCancelled(work, signal) {
    if (signal.aborted)
        throw new failure_Cancelled();
    const { promise, reject } = Promise.withResolvers();
    const stop = () => reject(new failure_Cancelled());
    signal.addEventListener('abort', stop, { once: true });
    try {
        return await Promise.race([work, promise]);
    }
    finally {
        signal.removeEventListener('abort', stop);
        work.catch(() => undefined);
    }
}

;// CONCATENATED MODULE: ./lib/runner/ecs.js


/** Codes that mean: not here, not of this type, not now. Another zone or type may do. */
const notHere = /^(OperationDenied\.NoStock|NoInstanceStock|Zone\.NotOnSale|Zone\.NotOpen|ZoneId\.NotFound|InvalidResourceType\.NotSupported|InvalidInstanceType\.(NotSupported|ZoneNotSupported|NotSupportDiskCategory|ValueNotSupported|ValueUnauthorized)|InvalidVSwitchId\.IpNotEnough|QuotaExceed(ed)?\..*|QuotaExceed\.ElasticQuota|InvalidSystemDiskCategory\.ValueNotSupported|InvalidDataDiskCategory\.(NotSupported|ValueNotSupported))$/;
/** Whether another zone or another type of instance is worth a try. */
function ecs_isNoStock(error) {
    return error instanceof AlibabaError && notHere.test(error.code);
}
/** The few calls of the ECS API that are needed, each by its own name in the API reference. */
class Ecs {
    alibaba;
    api;
    region;
    constructor(alibaba, api, region) {
        this.alibaba = alibaba;
        this.api = api;
        this.region = region;
    }
    /** Whether RunInstances would be accepted: rights, parameters, stock. @throws what it would be refused with */
    async check(machine, candidate, userData) {
        try {
            await this.call('RunInstances', {
                ...this.parameters(machine, candidate, userData),
                DryRun: true,
            });
        }
        catch (error) {
            // the dry run answers "it would have worked" as an error of this code
            if (error instanceof alibaba_AlibabaError && error.code === 'DryRunOperation')
                return;
            throw error;
        }
    }
    /**
     * Makes one instance. The same token never makes a second one: asked again, the API answers with the first.
     *
     * @param token at most 64 ASCII characters
     * @returns the instance's id
     */
    async run(machine, candidate, userData, token) {
        const answer = await this.call('RunInstances', {
            ...this.parameters(machine, candidate, userData),
            ClientToken: token,
        });
        const [id] = list(answer.InstanceIdSets, 'InstanceIdSet');
        if (!id)
            throw new TypeError('RunInstances gave no instance id');
        return id;
    }
    /** All instances of the region that have these tags. */
    async find(tags) {
        const found = [];
        let next;
        do {
            const answer = await this.call('DescribeInstances', {
                ...numbered('Tag', tags),
                MaxResults: 100,
                NextToken: next,
            });
            for (const instance of list(answer.Instances, 'Instance'))
                found.push(readInstance(instance));
            next = typeof answer.NextToken === 'string' && answer.NextToken ? answer.NextToken : undefined;
        } while (next);
        return found;
    }
    /** Releases an instance, running or not. @returns false when it was gone already */
    async release(id) {
        try {
            await this.call('DeleteInstance', { InstanceId: id, Force: true });
            return true;
        }
        catch (error) {
            if (error instanceof alibaba_AlibabaError && /^InvalidInstanceId\.NotFound$/.test(error.code))
                return false;
            throw error;
        }
    }
    /** What the instance has written to its console so far. */
    async console(id) {
        const answer = await this.call('GetInstanceConsoleOutput', { InstanceId: id });
        return Buffer.from(String(answer.ConsoleOutput ?? ''), 'base64').toString('utf8');
    }
    call(action, parameters) {
        return this.alibaba.call(this.api, action, { RegionId: this.region, ...parameters });
    }
    parameters(machine, candidate, userData) {
        const family = machine.image.startsWith('acs:');
        return {
            ...(family ? { ImageFamily: machine.image } : { ImageId: machine.image }),
            InstanceType: candidate.instanceType,
            VSwitchId: candidate.vswitch,
            SecurityGroupId: machine.securityGroup,
            InstanceName: machine.name,
            Description: 'A GitHub Actions runner, made by migrate-to-polardb and released by it',
            InstanceChargeType: 'PostPaid',
            Amount: 1,
            // no key, no password and no RAM role: nobody logs in, and the instance can do nothing in the account
            PasswordInherit: false,
            HttpEndpoint: 'enabled',
            HttpTokens: 'required',
            InternetMaxBandwidthOut: machine.publicBandwidth,
            ...(machine.publicBandwidth > 0 ? { InternetChargeType: 'PayByTraffic' } : {}),
            'SystemDisk.Category': 'cloud_essd',
            'SystemDisk.Size': 40,
            'DataDisk.1.Category': 'cloud_essd',
            'DataDisk.1.Size': machine.diskGib,
            'DataDisk.1.DeleteWithInstance': true,
            AutoReleaseTime: `${new Date(machine.releaseAt).toISOString().slice(0, 16)}:00Z`,
            UserData: Buffer.from(userData).toString('base64'),
            ...numbered('Tag', machine.tags),
        };
    }
}
/** A short digest of texts, for names that must not collide and may not be long. */
function ecs_digest(length, ...texts) {
    return (0,external_node_crypto_.createHash)('sha256').update(texts.join('\0')).digest('hex').slice(0, length);
}
function readInstance(found) {
    const address = found.VpcAttributes?.PrivateIpAddress?.IpAddress?.[0];
    return {
        id: String(found.InstanceId),
        zone: String(found.ZoneId ?? ''),
        type: String(found.InstanceType ?? ''),
        status: String(found.Status ?? ''),
        createdAt: Date.parse(String(found.CreationTime)),
        address: typeof address === 'string' ? address : undefined,
        tags: Object.fromEntries((found.Tags?.Tag ?? []).map(({ TagKey, TagValue }) => [String(TagKey), String(TagValue)])),
    };
}
function numbered(name, tags) {
    return Object.fromEntries(Object.entries(tags).flatMap(([key, value], index) => [
        [`${name}.${index + 1}.Key`, key],
        [`${name}.${index + 1}.Value`, value],
    ]));
}
/** Alibaba Cloud wraps a list in an object of one field. */
function list(wrapped, field) {
    const inner = wrapped?.[field];
    return Array.isArray(inner) ? inner : [];
}

;// CONCATENATED MODULE: ./lib/runner/names.js

/** The tag by which the policy of docs/runner.md tells our instances from all others; its value is the repository. */
const ownTag = 'migrate-to-polardb';
/** The runner's name and only label: one run, one attempt, one name. No other job can ask for it by accident. */
function names_labelOf(name, job) {
    return `${name}-${job.runId}-${job.attempt}`;
}
/** Tags that find the instances of one run and name, of all attempts or of one. */
function names_tagsOf(name, job, attempt) {
    return {
        [ownTag]: job.repository,
        [`${ownTag}-run`]: job.runId,
        [`${ownTag}-name`]: name,
        ...(attempt === undefined ? {} : { [`${ownTag}-attempt`]: attempt }),
    };
}
/** The tag with the moment after which an instance is left over (ISO 8601, UTC). */
const names_untilTag = `${ownTag}-until`;
/**
 * The ClientToken of one attempt for one zone and type. It depends on nothing else, so that a start which is tried again can never
 * make a second instance: the API answers with the first, or says that the token was used.
 */
function names_tokenOf(name, job, { vswitch, instanceType }) {
    const where = digest(12, job.repository, vswitch, instanceType);
    return `${names_labelOf(name, job)}-${where}`;
}
/** The name of our group in a cluster's whitelist: lower-case letters and digits are all that PolarDB allows. */
function names_whitelistGroupOf(name, job) {
    return `${whitelistPrefix(job)}${job.runId}n${ecs_digest(6, name)}`;
}
/** What the name of each of this repository's groups begins with, and no other's. */
function whitelistPrefix(job) {
    return `gha${ecs_digest(8, job.repository)}r`;
}
/** The run and name of an instance as they are in the names of its group; see whitelistGroupOf. */
function groupOfInstance(job, tags) {
    const name = tags[`${ownTag}-name`] ?? '';
    return names_whitelistGroupOf(name, { ...job, runId: tags[`${ownTag}-run`] ?? '' });
}

;// CONCATENATED MODULE: ./lib/runner/endpoints.js
/** Regions whose PolarDB API has no public address of their own ("Endpoints", PolarDB API reference). */
const centralPolardb = /^(cn-(qingdao|beijing|hangzhou|shanghai|shenzhen|hongkong)|ap-southeast-1|us-west-1)$/;
/** Where the API of ECS is, on the internet or inside a VPC of the region. */
function ecsApi(region, network, override) {
    const host = network === 'vpc' ? 'ecs-vpc' : 'ecs';
    return { endpoint: override ?? `https://${host}.${region}.aliyuncs.com`, version: '2014-05-26' };
}
/** Where the API of PolarDB is. */
function polardbApi(region, network, override) {
    const host = network === 'vpc'
        ? `polardb-vpc.${region}`
        : centralPolardb.test(region)
            ? 'polardb'
            : `polardb.${region}`;
    return { endpoint: override ?? `https://${host}.aliyuncs.com`, version: '2017-08-01' };
}

;// CONCATENATED MODULE: ./lib/runner/github.js




/** An answer that may be another one in a moment: a failing service, a limit of requests. */
class Unavailable extends Error {
}
/** The runners of one repository, as the REST API has them ("REST API endpoints for self-hosted runners"). */
class RunnerRegistry {
    world;
    job;
    token;
    constructor(world, job, token) {
        this.world = world;
        this.job = job;
        this.token = token;
    }
    /**
     * Registers a runner that takes one job, and gives its configuration, which is a secret until it was used.
     *
     * @returns undefined where a runner of that name is registered already
     * @throws Failure that says what the token lacks
     */
    async register(name, labels) {
        const response = await this.request('POST', '/actions/runners/generate-jitconfig', {
            name,
            runner_group_id: 1,
            labels,
            work_folder: '_work',
        });
        if (response.status === 409)
            return undefined;
        if (response.status !== 201)
            throw await this.refused(response, 'register a runner');
        const body = parsedBody(response);
        const { encoded_jit_config: configuration, runner } = body;
        if (typeof configuration !== 'string' || typeof runner?.id !== 'number')
            throw new TypeError('GitHub gave no configuration for the runner');
        this.world.secret(configuration);
        return { id: runner.id, configuration };
    }
    /** Every registered runner of the repository, or those of one name. */
    async list(name = '') {
        const filter = name ? `&name=${encodeURIComponent(name)}` : '';
        const found = [];
        for (let page = 1;; page++) {
            const response = await this.request('GET', `/actions/runners?per_page=100&page=${page}${filter}`);
            if (response.status !== 200)
                throw await this.refused(response, 'list the runners');
            const { runners = [], total_count: total = 0 } = parsedBody(response);
            for (const { id, name, status, busy, labels = [] } of runners) {
                const names = labels.map((label) => label.name);
                found.push({ id, name, busy, online: status === 'online', labels: names });
            }
            if (runners.length === 0 || found.length >= total)
                return found;
        }
    }
    async named(name) {
        return (await this.list(name)).find((runner) => runner.name === name);
    }
    /** Removes a registration. @returns `gone` when it was gone already; `busy` while GitHub believes that a job runs on it */
    async remove(id) {
        const response = await this.request('DELETE', `/actions/runners/${id}`);
        if (response.status === 204)
            return 'removed';
        if (response.status === 422)
            return 'busy';
        // a list a moment ago had it, so "not found" is about the runner
        if (response.status === 404)
            return 'gone';
        throw await this.refused(response, 'remove a runner');
    }
    async request(method, path, body) {
        const url = `${this.job.apiUrl}/repos/${this.job.repository}${path}`;
        try {
            return await retrying(this.world, async () => {
                const sent = this.world.send({
                    method,
                    url,
                    headers: {
                        accept: 'application/vnd.github+json',
                        authorization: `Bearer ${this.token}`,
                        'x-github-api-version': '2022-11-28',
                        ...(body ? { 'content-type': 'application/json' } : {}),
                    },
                    ...(body ? { body: JSON.stringify(body) } : {}),
                });
                const response = await orCancelled(sent, this.world.signal);
                const limited = response.status === 429 ||
                    response.headers['retry-after'] !== undefined ||
                    (response.status === 403 && response.headers['x-ratelimit-remaining'] === '0');
                if (limited || response.status >= 500)
                    throw new Unavailable(limited
                        ? 'GitHub has had too many requests with this token'
                        : `GitHub answered with status ${response.status}`);
                return response;
            }, { again: () => true, exhausted: (error) => error });
        }
        catch (error) {
            if (error instanceof failure_Cancelled)
                throw error;
            throw new failure_Failure(`GitHub's API (${this.job.apiUrl}) did not answer`, failure_messageOf(error), 'Run again; GitHub shows its state on githubstatus.com', { cause: error });
        }
    }
    /**
     * What the token lacks. GitHub answers "Not Found" to whoever may not know that something exists; so the repository itself is
     * asked for, which tells a token that cannot see it from one that lacks a permission.
     */
    async refused(response, wish) {
        const { repository } = this.job;
        const said = (answer) => String(parsedBody(answer)?.message ?? 'no message');
        const why = `GitHub answered ${response.status}: ${said(response)}`;
        const failure = (what, remedy) => new failure_Failure(`The token may not ${wish} of ${repository}: ${what}`, why, remedy);
        if (response.status === 401)
            return failure('GitHub does not accept it, it is wrong, revoked or expired', 'Make a new token in the step before, and check the secret that github-token is read from');
        if (response.headers['x-github-sso'])
            return failure('the organization demands single sign-on, and the token is not authorized for it', 'Authorize the token for the organization in the settings of your tokens');
        if (![403, 404].includes(response.status))
            return new failure_Failure(`GitHub did not ${wish} of ${repository}`, why, 'Look at the message, and run again');
        if (/self-hosted runners.*disabled|disabled.*self-hosted/i.test(said(response)))
            return failure('self-hosted runners are disabled there', 'Allow them for the repository in the settings of the organization, Actions, General');
        const visible = await this.request('GET', '');
        if (visible.status !== 200)
            return failure('it cannot even see the repository', 'Install the GitHub App on this repository, or add the repository to the token; github.token cannot do this, and a token of another repository cannot either');
        const scopes = response.headers['x-oauth-scopes'];
        if (scopes !== undefined && scopes.trim() !== '')
            return failure(`it has the scopes ${scopes} and needs repo, of a user who administers the repository`, 'Use a token with that scope or, better, a GitHub App with the repository permission "Administration: write"');
        return failure('it can see the repository and lacks the permission administration: write', 'Give the GitHub App (or the fine-grained token) the repository permission "Administration: write" and accept it for the installation; github.token can never have it');
    }
}

;// CONCATENATED MODULE: ./lib/runner/whitelist.js


/** The whitelist of a PolarDB cluster, by the groups in it. Only a group of our own name is ever touched. */
class Whitelist {
    alibaba;
    api;
    cluster;
    constructor(alibaba, api, cluster) {
        this.alibaba = alibaba;
        this.api = api;
        this.cluster = cluster;
    }
    /** Lets one address in, under a group of its own; a group of that name is replaced. */
    async allow(group, address) {
        await this.modify(group, address, 'Cover');
    }
    /** Takes the addresses out of a group, which ends it. */
    async remove(group) {
        await this.modify(group.name, group.addresses, 'Delete');
    }
    async groups() {
        const answer = await this.call('DescribeDBClusterAccessWhitelist', {});
        const items = answer.Items?.DBClusterIPArray;
        return (Array.isArray(items) ? items : []).map((item) => ({
            name: String(item.DBClusterIPArrayName),
            addresses: String(item.SecurityIps ?? ''),
        }));
    }
    async modify(name, addresses, mode) {
        await this.call('ModifyDBClusterAccessWhitelist', {
            DBClusterIPArrayName: name,
            SecurityIps: addresses,
            ModifyMode: mode,
            WhiteListType: 'IP',
        });
    }
    async call(action, parameters) {
        try {
            return await this.alibaba.call(this.api, action, { DBClusterId: this.cluster, ...parameters });
        }
        catch (error) {
            if (!(error instanceof alibaba_AlibabaError))
                throw error;
            throw new failure_Failure(`The whitelist of ${this.cluster} could not be read or changed`, error.message, 'Check cluster and region: the cluster must exist there and be running; a cluster has at most 50 groups', { cause: error });
        }
    }
}

;// CONCATENATED MODULE: ./lib/runner/remove.js







function remove_openServices(world, inputs, job, credentials) {
    const { region, network, cluster, githubToken } = inputs;
    const alibaba = new Alibaba(world, credentials);
    const polardb = polardbApi(region, network, inputs.polardbEndpoint);
    return {
        ecs: new Ecs(alibaba, ecsApi(region, network, inputs.ecsEndpoint), region),
        whitelist: cluster ? new Whitelist(alibaba, polardb, cluster) : undefined,
        registry: githubToken ? new RunnerRegistry(world, job, githubToken) : undefined,
    };
}
/**
 * Removes instances, whitelist groups and registrations. One that fails does not keep the others from being removed.
 *
 * @returns what went wrong, each as a message
 */
async function remove_removeLeftovers(world, { ecs, whitelist, registry }, { instances, group, runner, looks = 1 }) {
    const problems = [];
    const attempt = async (work) => {
        try {
            await work();
        }
        catch (error) {
            problems.push(failure_messageOf(error));
        }
    };
    if (instances)
        await attempt(async () => {
            for (let look = 1; look <= looks; look++) {
                const found = await instances(ecs);
                for (const instance of found)
                    await attempt(() => release(world, ecs, instance));
                if (found.length > 0)
                    return;
                if (look < looks)
                    await retry_pause(world.pace, world.signal);
            }
            world.log.info('There is no instance to release');
        });
    if (whitelist)
        await attempt(async () => {
            for (const found of await whitelist.groups()) {
                if (!group(found.name))
                    continue;
                await whitelist.remove(found);
                world.log.info(`Removed the group ${found.name} from the whitelist of the cluster`);
            }
        });
    if (registry)
        await attempt(async () => {
            for (const { id, name } of (await registry.list()).filter(({ name }) => runner(name))) {
                const outcome = await registry.remove(id);
                world.log.info(outcome === 'busy'
                    ? `GitHub still takes the runner ${name} for busy; it removes the registration itself, since it was for one job`
                    : `Removed the registration of the runner ${name}`);
            }
        });
    return problems;
}
async function release(world, ecs, instance) {
    const { id, type, zone, createdAt } = instance;
    const released = await ecs.release(id);
    const minutes = Math.max(1, Math.ceil((world.now() - createdAt) / 60_000));
    world.log.info(released
        ? `Released ${id} (${type}, ${zone}): it ran for ${minutes} ${minutes === 1 ? 'minute' : 'minutes'}`
        : `${id} was gone already`);
}

;// CONCATENATED MODULE: ./lib/runner/user-data.js

/** Where GitHub keeps the packages of the runner. */
const user_data_githubDownloads = 'https://github.com/actions/runner/releases/download';
/** Bytes that RunInstances takes as user data, before base64. */
const most = (/* unused pure expression or super */ null && (32 * 1024));
/**
 * The script that an instance runs as root at its first boot: it prepares the data disk, installs the runner of the pinned version
 * after it has checked its SHA-256, and starts it as an ordinary user. What it says goes to the console, where
 * GetInstanceConsoleOutput finds it.
 *
 * @throws Failure when it would be larger than RunInstances takes
 */
function user_data_userData({ label, version, sha256, downloads, configuration }) {
    const script = `#!/bin/bash
# Made by the action runner/start of migrate-to-polardb. Runs once, as root, at the first boot.
set -euo pipefail
umask 022
label=${quoted(label)}
version=${quoted(version)}
sha256_x64=${quoted(sha256.x64 ?? '')}
sha256_arm64=${quoted(sha256.arm64 ?? '')}
downloads=(${downloads.map(quoted).join(' ')})
# worth nothing once the runner is online; handed over in the environment, which no other user can read
configuration=${quoted(configuration)}
home=/opt/github-runner

say() { echo "github-runner: $*"; }
fail() { say "FAILED: $*"; exit 1; }
log=/var/log/github-runner.log
touch "$log" && chmod 600 "$log"
if [ -w /dev/console ]; then exec > >(tee -a "$log" > /dev/console) 2>&1; else exec >> "$log" 2>&1; fi
trap 'say "FAILED in line $LINENO"' ERR

say "preparing $label"
glibc=$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)
[ "$(printf '%s\\n' 2.28 "$glibc" | sort -V | head -n 1)" = 2.28 ] ||
  fail "glibc $glibc is older than 2.28, which Node 24 needs: use Ubuntu 22.04 or 24.04, or Alibaba Cloud Linux 3"
case $(uname -m) in
  x86_64) processor=x64 sha256=$sha256_x64 ;;
  aarch64) processor=arm64 sha256=$sha256_arm64 ;;
  *) fail "there is no runner for the processor $(uname -m)" ;;
esac
[ -n "$sha256" ] || fail "no SHA-256 is known for $processor: set runner-sha256"

# The data disk is the one without partitions and without a file system. Where it is not there yet, it is waited for.
disk=
for _ in $(seq 30); do
  for device in $(lsblk -dnpo NAME,TYPE | awk '$2 == "disk" { print $1 }'); do
    if [ "$(lsblk -nro NAME "$device" | wc -l)" = 1 ] && ! blkid "$device" > /dev/null; then disk=$device; fi
  done
  [ -z "$disk" ] || break
  sleep 2
done
[ -n "$disk" ] || fail "the data disk did not appear"
mkfs.ext4 -q "$disk"
mkdir -p "$home"
mount -o nodev "$disk" "$home"
say "$disk is mounted"

id github-runner > /dev/null 2>&1 || useradd --system --create-home --shell /bin/bash github-runner

package=actions-runner-linux-$processor-$version.tar.gz
fetch() {
  if command -v curl > /dev/null; then
    curl --fail --silent --show-error --location --retry 4 --retry-delay 3 --connect-timeout 20 \\
      --speed-limit 10000 --speed-time 60 --output "$2" "$1"
  else
    wget --quiet --tries 4 --timeout 60 --output-document "$2" "$1"
  fi
}
got=
for base in "\${downloads[@]}"; do
  say "downloading $package from $base"
  if ! fetch "$base/v$version/$package" "$home/$package"; then say "no package from there"; continue; fi
  if echo "$sha256  $home/$package" | sha256sum --check --status; then got=1; break; fi
  say "the SHA-256 of what came from there is wrong, it is thrown away"
done
[ -n "$got" ] || fail "the runner could not be downloaded: the instance needs a way to GitHub on port 443 (a NAT gateway), or runner-mirrors"
mkdir "$home/runner"
tar -xzf "$home/$package" -C "$home/runner"
rm "$home/$package"
chown -R github-runner: "$home"

# .NET looks for ICU, which small images lack
if ! ldconfig -p | grep -q libicuuc; then export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1; fi
cd "$home/runner"
say "starting the runner $version"
trap - ERR
status=0
HOME=$(getent passwd github-runner | cut -d: -f6) USER=github-runner LOGNAME=github-runner \\
  ACTIONS_RUNNER_INPUT_JITCONFIG=$configuration runuser -u github-runner -- ./run.sh || status=$?
say "the runner ended with status $status"
`;
    if (Buffer.byteLength(script) > most)
        throw new Failure(`The instance's user data would have ${Buffer.byteLength(script)} bytes`, `RunInstances takes ${most}`, 'List fewer or shorter runner-mirrors');
    return script;
}
/** A word of a shell script in single quotes. */
function quoted(text) {
    return `'${text.replaceAll("'", "'\\''")}'`;
}

;// CONCATENATED MODULE: ./lib/runner/start.js








/** Minutes that an instance outlives its limit before Alibaba Cloud releases it: `stop` comes first. */
const margin = 30;
/** Lines of the console that are shown when a runner did not come online. */
const consoleLines = 200;
/**
 * Makes an instance whose runner takes one job of this run, and waits until it is online. Whatever fails, or a cancelled job, leaves
 * nothing behind; what could not be removed any more is removed by `stop`, and by Alibaba Cloud itself at the release time.
 *
 * @throws Failure, Cancelled
 */
async function start_startRunner(world, inputs, job, credentials) {
    const start = new Start(world, inputs, job, openServices(world, inputs, job, credentials));
    try {
        await start.run();
    }
    catch (error) {
        const cancelled = world.signal.aborted;
        // a cancelled job has ten seconds in all
        const rescue = {
            ...world,
            signal: AbortSignal.timeout(cancelled ? 6000 : 180_000),
            ...(cancelled ? { pauses: [0.5, 1, 1], pace: 1 } : {}),
        };
        if (start.mayHaveMade)
            await start.takeBack(rescue, credentials, !cancelled);
        throw cancelled ? new Cancelled() : error;
    }
}
class Start {
    /** From here on something may exist that costs or that lets somebody in. */
    mayHaveMade = false;
    world;
    inputs;
    job;
    services;
    label;
    tags;
    instanceId;
    constructor(world, inputs, job, services) {
        this.world = world;
        this.inputs = inputs;
        this.job = job;
        this.services = services;
        this.label = labelOf(inputs.name, job);
        this.tags = tagsOf(inputs.name, job, job.attempt);
    }
    async run() {
        const { world, services, label } = this;
        const [existing] = await services.ecs.find(this.tags);
        if (existing)
            world.log.info(`${existing.id} was made by an earlier try of this attempt`);
        const id = existing?.id ?? (await this.make());
        this.mayHaveMade = true;
        this.instanceId = id;
        world.setOutput('instance-id', id);
        world.setOutput('label', label);
        const { zone, address } = await this.described();
        world.setOutput('zone', zone);
        if (services.whitelist) {
            const group = whitelistGroupOf(this.inputs.name, this.job);
            await services.whitelist.allow(group, address);
            world.log.info(`${address} may connect to ${this.inputs.cluster} (whitelist group ${group})`);
        }
        await this.waitUntilOnline();
        world.log.info(`${id} in ${zone} is online as a runner: runs-on: ${label}`);
    }
    /** Removes what was made, and before that shows what the instance said. Warns and never throws. */
    async takeBack(world, credentials, explain) {
        const services = openServices(world, this.inputs, this.job, credentials);
        try {
            if (explain && this.instanceId)
                await this.showConsole(services, this.instanceId);
        }
        catch (error) {
            world.log.warning(`The console's output could not be had: ${messageOf(error)}`);
        }
        const problems = await removeLeftovers(world, services, {
            instances: (ecs) => ecs.find(this.tags),
            group: (name) => name === whitelistGroupOf(this.inputs.name, this.job),
            runner: (name) => name === this.label,
            looks: this.instanceId ? 1 : 2,
        });
        for (const problem of problems)
            world.log.warning(`Not everything was removed, runner/stop tries again: ${problem}`);
    }
    /** The first zone and type that have stock. @returns the instance's id */
    async make() {
        const { inputs, job, services, world } = this;
        const releaseAt = world.now() + (inputs.limitMinutes + margin) * 60_000;
        const machine = {
            ...inputs,
            name: this.label,
            releaseAt,
            tags: { ...this.tags, [untilTag]: new Date(releaseAt).toISOString() },
        };
        const script = (configuration) => userData({
            label: this.label,
            version: inputs.runnerVersion,
            sha256: inputs.runnerSha256,
            downloads: [...inputs.runnerMirrors, githubDownloads],
            configuration,
        });
        const refused = [];
        let configuration;
        for (const candidate of inputs.candidates) {
            const where = `${candidate.instanceType} in ${candidate.vswitch}`;
            try {
                // everything is tried before GitHub is asked for a runner, so that a missing right leaves nothing
                await services.ecs.check(machine, candidate, script('x'.repeat(8000)));
                configuration ??= await this.register(services.registry);
                const token = tokenOf(inputs.name, job, candidate);
                const id = await services.ecs.run(machine, candidate, script(configuration), token);
                world.log.info(`Made ${id} (${where}); Alibaba Cloud releases it at ${new Date(releaseAt).toISOString().slice(0, 16)}Z if nobody does before`);
                return id;
            }
            catch (error) {
                if (error instanceof AlibabaError && error.code === 'IdempotentParameterMismatch')
                    throw new Failure('An earlier try of this attempt has made an instance that is gone or not to be found', error.message, 'Re-run all jobs: a new attempt makes a new instance');
                if (!isNoStock(error))
                    throw described(error);
                refused.push(`${where}: ${error.code}`);
                world.log.info(`Not ${where}: ${error.code}`);
            }
        }
        throw new Failure('No instance could be made in any of the zones and of any of the types', refused.join('; '), 'Name more instance-types, or vSwitches of other zones of the same VPC in vswitch');
    }
    async register(registry) {
        this.mayHaveMade = true;
        const made = await registry.register(this.label, [this.label]);
        if (made)
            return made.configuration;
        // an earlier try of this attempt got so far, and no further: its configuration is lost
        const stale = await registry.named(this.label);
        if (stale)
            await registry.remove(stale.id);
        const again = await registry.register(this.label, [this.label]);
        if (again)
            return again.configuration;
        throw new Failure(`A runner named ${this.label} is registered already`, 'GitHub answered 409 twice, and its registration could not be removed', 'Remove it in the settings of the repository, Actions, Runners, and re-run all jobs');
    }
    /** The instance as soon as it has an address. */
    async described() {
        const deadline = this.deadline();
        for (;;) {
            const instance = (await this.services.ecs.find(this.tags)).find(({ id }) => id === this.instanceId);
            if (instance?.address)
                return { ...instance, address: instance.address };
            if (this.world.now() > deadline)
                throw new Failure(`${this.instanceId} has no address after ${this.inputs.waitMinutes} minutes`, `its state is ${instance?.status ?? 'unknown'}`, 'Look at the instance in the console, and re-run all jobs');
            this.world.progress.update(`waiting for ${this.instanceId} to get an address`);
            await pause(this.world.pace, this.world.signal);
        }
    }
    async waitUntilOnline() {
        const { world, label, services, inputs } = this;
        const began = world.now();
        const deadline = this.deadline();
        for (;;) {
            const runner = await services.registry?.named(label);
            if (runner?.online)
                return;
            const instance = (await services.ecs.find(this.tags)).find(({ id }) => id === this.instanceId);
            const status = instance?.status ?? 'gone';
            if (/^(gone|Stopp(ed|ing))$/.test(status))
                throw new Failure(`${this.instanceId} ended before its runner came online`, `its state is ${status}`, 'What its console said is above; somebody or something in the account may have stopped it');
            if (world.now() > deadline)
                throw new Failure(`The runner ${label} did not come online within ${inputs.waitMinutes} minutes`, runner
                    ? `GitHub has it as offline, and ${this.instanceId} is ${status}`
                    : 'GitHub does not know it any more', 'What its console said is above; mostly the instance has no way to GitHub on port 443 (docs/runner.md, Network)');
            world.progress.update(`waiting for the runner to come online: ${this.instanceId} is ${status}, ${formatDuration((world.now() - began) / 1000)}`);
            await pause(world.pace, world.signal);
        }
    }
    deadline() {
        return this.world.now() + this.inputs.waitMinutes * 60_000;
    }
    async showConsole({ ecs }, id) {
        const lines = (await ecs.console(id)).split(/\r?\n/).filter((line) => line.trim() !== '');
        this.world.log.info(lines.length === 0
            ? `${id} has written nothing to its console`
            : `What ${id} has written to its console (the last ${Math.min(lines.length, consoleLines)} lines):`);
        for (const line of lines.slice(-consoleLines))
            this.world.log.info(`  ${line}`);
    }
}
/** What RunInstances is refused for, beyond stock and rights, with the next step. */
function described(error) {
    if (!(error instanceof AlibabaError))
        return error;
    const input = /Image/.test(error.code)
        ? 'image'
        : /SecurityGroup/.test(error.code)
            ? 'security-group'
            : /VSwitch|Vpc/i.test(error.code)
                ? 'vswitch'
                : /InstanceType/.test(error.code)
                    ? 'instance-types'
                    : /Region/.test(error.code)
                        ? 'region'
                        : undefined;
    return new Failure('Alibaba Cloud refused to make the instance', error.message, input
        ? `Check ${input}: it must exist in this region, and vSwitch and security group belong to one VPC`
        : 'Look the code up in the API reference of RunInstances, and correct the inputs', { cause: error });
}

;// CONCATENATED MODULE: ./lib/runner/stop.js




/**
 * Removes what `start` has made under this run and name, in all attempts: by tag, since outputs are empty when start was cancelled.
 * What is gone already is no mistake.
 *
 * @throws Failure when something could not be removed
 */
async function stopRunner(world, inputs, job, credentials) {
    const services = remove_openServices(world, inputs, job, credentials);
    const attempts = new RegExp(`^${inputs.name}-${job.runId}-\\d+$`);
    const problems = await remove_removeLeftovers(world, services, {
        instances: (ecs) => ecs.find(names_tagsOf(inputs.name, job)),
        group: (name) => name === names_whitelistGroupOf(inputs.name, job),
        runner: (name) => attempts.test(name),
        looks: 3,
    });
    refuse(problems);
}
/**
 * Removes what runs of this repository have left over: instances past their time; whitelist groups and registrations that are
 * offline and belong to no instance. What seems to belong to none is looked at twice: an instance may just be being made.
 *
 * @throws Failure when something could not be removed
 */
async function sweepRunners(world, inputs, job, credentials) {
    const services = remove_openServices(world, inputs, job, credentials);
    const all = () => services.ecs.find({ [ownTag]: job.repository });
    const none = () => false;
    const problems = await remove_removeLeftovers(world, { ...services, whitelist: undefined, registry: undefined }, {
        instances: async () => (await all()).filter((instance) => isOver(instance, world.now())),
        group: none,
        runner: none,
    });
    const first = await orphans(services, job, await all());
    if (first.size > 0) {
        await retry_pause(world.pace, world.signal);
        const second = await orphans(services, job, await all());
        const both = (name) => first.has(name) && second.has(name);
        problems.push(...(await remove_removeLeftovers(world, services, { group: both, runner: both })));
    }
    refuse(problems);
}
/** Names of groups and of offline runners that none of these instances has. */
async function orphans({ whitelist, registry }, job, instances) {
    const groups = new Set(instances.map(({ tags }) => groupOfInstance(job, tags)));
    const runners = new Set(instances.map(({ tags }) => `${tags[`${ownTag}-name`]}-${tags[`${ownTag}-run`]}-${tags[`${ownTag}-attempt`]}`));
    const ours = new RegExp(`^${whitelistPrefix(job)}\\d+n[0-9a-f]{6}$`);
    const found = new Set();
    for (const { name } of (await whitelist?.groups()) ?? [])
        if (ours.test(name) && !groups.has(name))
            found.add(name);
    for (const { name, online, busy, labels } of (await registry?.list()) ?? []) {
        // start gives a runner its name as a label; no runner that was made otherwise is touched, whatever it is called
        const isStarted = /^[a-z][a-z0-9-]{0,23}-\d+-\d+$/.test(name) && labels.includes(name);
        if (isStarted && !online && !busy && !runners.has(name))
            found.add(name);
    }
    return found;
}
/** Past the time that start wrote into its tag; without a readable one, older than a job can be. */
function isOver({ tags, createdAt }, now) {
    const until = Date.parse(tags[names_untilTag] ?? '');
    return now > (Number.isNaN(until) ? createdAt + 6 * 24 * 3_600_000 : until);
}
function refuse(problems) {
    if (problems.length === 0)
        return;
    throw new failure_Failure('Not everything could be removed, and an instance costs until it is released', problems.join(' | '), `Correct that and run again, or look in the console for instances with the tag ${ownTag}; Alibaba Cloud releases them at their release time`);
}

;// CONCATENATED MODULE: ./lib/text/text.js
/**
 * Hostile text made harmless, once for each place that shows it (a log line, Markdown, HTML). Names, comments and messages of
 * a database may hold anything but a zero byte.
 */
/**
 * What is never shown as it is: controls (C0, C1, DEL), line and paragraph separators, formatting characters (bidi
 * overrides, zero-width and other ignorable ones, tags), noncharacters and lone surrogates. The invisible parts of an
 * emoji stay. Ignorable characters matter beyond looks: the runner looks for `##[` and a leading `::` by a comparison
 * that may pass over them (actions/runner, ActionCommand.cs).
 */
const unprintable = /(?!(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}])\uFE0F|(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}]\uFE0F?)\u200D(?=\p{Extended_Pictographic}))[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]/gu;
const shortEscapes = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
function escaped(character) {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x100)
        return shortEscapes[character] ?? `\\x${code.toString(16).padStart(2, '0')}`;
    if (code < 0x10000)
        return `\\u${code.toString(16).padStart(4, '0')}`;
    return `\\u{${code.toString(16)}}`;
}
/** Whether a text holds nothing but printable ASCII, as most do: that is told sooner than what is unprintable is looked for. */
function isPlain(text) {
    return /^[ -~]*$/.test(text);
}
/** `text` in one line, everything unprintable in it written as an escape: `\n`, `\x1b`, `\u202e`. */
function printable(text) {
    return isPlain(text) ? text : text.replace(unprintable, escaped);
}
/**
 * `text` as one harmless line of the log: printable, and never a command to the runner, which takes commands from
 * `::name` at the start of a line, white space before it or not, and from `##[name]` anywhere in it. Apply it to the
 * whole line, not to its parts: two harmless parts can make a command.
 */
function visible(text) {
    return printable(text)
        .replace(/^(\s*)::/u, '$1\\::')
        .replaceAll('##[', '##\\[');
}
/** `text` cut to at most `limit` UTF-16 units, an ellipsis at the end and no character torn where it was cut. */
function shorten(text, limit) {
    if (text.length <= limit)
        return text;
    return `${text.slice(0, limit - 1).replace(/[\uD800-\uDBFF]$/, '')}…`;
}
const htmlEscapes = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
};
/** `text` for an HTML element's content or a quoted attribute's value. */
function html(text) {
    return printable(text).replace(/[&<>"']/g, (character) => htmlEscapes[character] ?? '');
}
/**
 * `text` as prose in GitHub's Markdown, also within a table's cell: no emphasis, link, image, HTML, math or footnote
 * begins in it, nor a list or heading at its start. What GitHub finds in the drawn text later on (mentions, issue
 * numbers, emoji codes, addresses) is broken up by an element.
 */
function markdown(text) {
    return printable(text)
        .trim()
        .replace(/[&<>\\`*_~|[\]!]|^[-+=]/g, (character) => `&#${character.charCodeAt(0)};`)
        .replace(/(?<!&)#+|[@$]+|:+(?=\S)|(?<=www)\.|(?<=^\d+)[.)](?=\s|$)/gi, '<span>$&</span>');
}
/** `text` as code in GitHub's Markdown, also within a table's cell: for names, where every character counts. */
function markdownCode(text) {
    const line = printable(text);
    if (/^[^`|\s](?:[^`|]*[^`|\s])?$/u.test(line))
        return `\`${line}\``;
    // an escaped pipe after a backslash, or a fence around backquotes, is read in more than one way; entities are not
    const [start = '', end = ''] = [/^\s*/u.exec(line)?.[0], /\s+$/u.exec(line)?.[0]];
    const space = (length) => '&#32;'.repeat(length);
    return `<code>${space(start.length)}${markdown(line)}${line.trim() === '' ? '' : space(end.length)}</code>`;
}

// EXTERNAL MODULE: ./node_modules/@actions/http-client/lib/index.js + 1 modules
var lib = __webpack_require__(4942);
;// CONCATENATED MODULE: ./lib/action/http.js

/**
 * Sends requests as actions do: through `https_proxy` and `http_proxy`, past `no_proxy`. Nothing is followed or sent again
 * here: a signature holds for one address and one moment.
 *
 * @param seconds without a byte, after which an answer is no longer waited for
 */
function httpSender(seconds) {
    const client = new lib/* HttpClient */.Qq('migrate-to-polardb', [], {
        allowRedirects: false,
        allowRetries: false,
        socketTimeout: seconds * 1000,
    });
    return async ({ method, url, headers, body }) => {
        const { message, readBody } = await client
            .request(method, url, body ?? null, headers)
            .then((response) => ({
            message: response.message,
            readBody: () => response.readBody(),
        }));
        const names = Object.entries(message.headers).map(([name, value]) => [name, String(value)]);
        return {
            status: message.statusCode ?? 0,
            headers: Object.fromEntries(names),
            body: await readBody(),
        };
    };
}

;// CONCATENATED MODULE: ./lib/action/secrets.js


/** Registers a secret with the runner's masking and with `redact`, in every form in which it may turn up. */
function registerSecret(secret) {
    for (const form of rememberSecret(secret))
        lib_core/* setSecret */.Pq(form);
}
/** Registers what is secret in a connection string; see secretsIn. */
function registerConnectionString(text) {
    for (const secret of secretsIn(text))
        registerSecret(secret);
}

;// CONCATENATED MODULE: ./lib/action/inputs.js


/**
 * Masks every secret input before anything else happens, and returns what reads an input.
 *
 * @param secretInputs names of inputs whose value is a secret: blanks at their ends belong to them
 * @param secretsOf what is secret in the text of one
 */
function maskedInputs(secretInputs, secretsOf = (_name, text) => [text.replace(/\r?\n$/, '')]) {
    for (const name of secretInputs) {
        const secret = lib_core/* getInput */.V4(name, { trimWhitespace: false });
        for (const one of secret ? secretsOf(name, secret) : [])
            registerSecret(one);
    }
    return (name) => lib_core/* getInput */.V4(name, { trimWhitespace: !secretInputs.includes(name) });
}

;// CONCATENATED MODULE: ./lib/host/paced.js
/** Shows the newest of many lines at most every so often, and always the last one. */
class Paced {
    last = 0;
    waiting;
    pace;
    show;
    /** @param pace milliseconds between two lines */
    constructor(pace, show) {
        this.pace = pace;
        this.show = show;
    }
    update(line) {
        clearTimeout(this.waiting);
        const show = () => {
            this.last = Date.now();
            this.show(line);
        };
        const due = this.last + this.pace - Date.now();
        if (due <= 0)
            show();
        else
            this.waiting = setTimeout(show, due);
        this.waiting?.unref();
    }
    /** What waits to be shown is no longer of interest. */
    settle() {
        clearTimeout(this.waiting);
        this.waiting = undefined;
    }
}

;// CONCATENATED MODULE: ./lib/action/log.js





/** Milliseconds between two progress lines: enough to see that it lives, few enough to read the log afterwards. */
const pace = 5000;
/**
 * The runner's log. It takes lines that begin with `::` or hold `##[` for commands, so every line that may carry a name or
 * message from a database is made harmless and, besides, printed between `::stop-commands::` and its token.
 */
class RunnerLog {
    paced = new Paced(pace, (line) => this.fenced(`  … ${harmless(line)}`));
    debug(message) {
        if (lib_core/* isDebug */._o())
            this.fenced(`[debug] ${harmless(message)}`);
    }
    info(message) {
        this.fenced(harmless(message));
    }
    warning(message) {
        this.fenced(`Warning: ${harmless(message)}`);
    }
    /** Shows the newest line at most every few seconds, and always the last one. */
    update(line) {
        this.paced.update(line);
    }
    /** A pending progress line is no longer of interest. */
    settle() {
        this.paced.settle();
    }
    fenced(line) {
        // ordinary lines cannot be commands and go out as they are; a fence around each would double the log
        if (/::|##\[/.test(line)) {
            const token = (0,external_node_crypto_.randomUUID)();
            lib_core/* info */.pq(`::stop-commands::${token}\n${line}\n::${token}::`);
        }
        else
            lib_core/* info */.pq(line);
    }
}
function harmless(message) {
    return message
        .split('\n')
        .map((line) => visible(redact(line)))
        .join('\n');
}

// EXTERNAL MODULE: external "node:fs/promises"
var external_node_fs_promises_ = __webpack_require__(1455);
;// CONCATENATED MODULE: ./lib/action/repository.js

/**
 * Whether everybody can read the repository. The event that started the run mostly says so; otherwise GitHub is asked
 * without a token: it shows public repositories only. When neither answers, the careful answer is yes.
 *
 * @param environment the runner's; without GITHUB_REPOSITORY this is no GitHub job, and nobody else can read anything
 */
async function repository_isPublicRepository(environment) {
    const { GITHUB_EVENT_PATH, GITHUB_REPOSITORY, GITHUB_API_URL = 'https://api.github.com', } = environment;
    if (!GITHUB_REPOSITORY)
        return false;
    if (GITHUB_EVENT_PATH) {
        const event = await readFile(GITHUB_EVENT_PATH, 'utf8').then((text) => JSON.parse(text), () => undefined);
        const { private: hidden, visibility } = event?.repository ?? {};
        if (typeof visibility === 'string')
            return visibility === 'public';
        if (typeof hidden === 'boolean')
            return !hidden;
    }
    try {
        const response = await fetch(`${GITHUB_API_URL}/repos/${GITHUB_REPOSITORY}`, {
            signal: AbortSignal.timeout(10_000),
        });
        return response.status !== 404 && response.status !== 401;
    }
    catch {
        return true;
    }
}

;// CONCATENATED MODULE: ./lib/action/runner.js












/** Seconds between the two looks of a sweep: an instance is made within them of its registration. */
const sweepPace = 60;
/** The step of `runner/start`. */
async function runStart() {
    await step(async (world, get, job, credentials) => {
        if (await isPublicRepository(process.env))
            core.warning(`${job.repository} is public: code of a pull request could run on this runner, inside the VPC. Use a private repository, or require approval for all outside contributors and an environment with reviewers.`);
        await startRunner(world, parseStartInputs(get), job, credentials());
    });
}
/** The step of `runner/stop`. */
async function runStop() {
    await step(async (world, get, job, credentials) => {
        const inputs = parseStopInputs(get);
        if (inputs.mode === 'stop')
            await stopRunner(world, inputs, job, credentials());
        else
            await sweepRunners({ ...world, pace: sweepPace }, inputs, job, credentials());
    });
}
async function step(work) {
    const log = new RunnerLog();
    const stop = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM']) {
        process.on(signal, () => stop.abort(new failure_Cancelled()));
    }
    const world = {
        log,
        progress: log,
        send: httpSender(60),
        signal: stop.signal,
        secret: registerSecret,
        setOutput: (name, value) => lib_core/* setOutput */.uH(name, value),
        now: Date.now,
        pace: 5,
    };
    try {
        const get = maskedInputs(secretInputs);
        for (const name of ['ALIBABA_CLOUD_ACCESS_KEY_SECRET', 'ALIBABA_CLOUD_SECURITY_TOKEN']) {
            const secret = process.env[name];
            if (secret)
                registerSecret(secret);
        }
        await work(world, get, thisJob(), () => readCredentials(process.env));
    }
    catch (error) {
        log.settle();
        if (!(error instanceof failure_Failure))
            log.debug(String(error?.stack));
        const line = stop.signal.aborted
            ? 'The job was cancelled. What this step could not remove any more, runner/stop removes.'
            : failure_messageOf(error);
        lib_core/* setFailed */.C1(visible(redact(line)));
    }
    log.settle();
}
/** @throws Failure outside of a workflow */
function thisJob() {
    const { GITHUB_REPOSITORY: repository, GITHUB_RUN_ID: runId, GITHUB_RUN_ATTEMPT: attempt = '1', GITHUB_API_URL: apiUrl = 'https://api.github.com', } = process.env;
    if (!repository || !runId)
        throw new failure_Failure('This is no job of GitHub Actions', 'GITHUB_REPOSITORY or GITHUB_RUN_ID is not set', 'Run this action in a workflow');
    return { repository, runId, attempt, apiUrl: apiUrl.replace(/\/$/, '') };
}


/***/ })

};
