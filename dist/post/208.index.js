export const id = 208;
export const ids = [208];
export const modules = {

/***/ 1208:
/***/ ((__unused_webpack___webpack_module__, __webpack_exports__, __webpack_require__) => {


// EXPORTS
__webpack_require__.d(__webpack_exports__, {
  cleanUp: () => (/* binding */ cleanUp)
});

// UNUSED EXPORTS: leavePartsToPost, leaveToPost

// EXTERNAL MODULE: ./node_modules/@actions/core/lib/core.js + 14 modules
var lib_core = __webpack_require__(6421);
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

// EXTERNAL MODULE: external "node:fs"
var external_node_fs_ = __webpack_require__(3024);
// EXTERNAL MODULE: external "node:fs/promises"
var promises_ = __webpack_require__(1455);
// EXTERNAL MODULE: external "node:path"
var external_node_path_ = __webpack_require__(6760);
// EXTERNAL MODULE: external "node:timers/promises"
var external_node_timers_promises_ = __webpack_require__(8500);
// EXTERNAL MODULE: external "node:crypto"
var external_node_crypto_ = __webpack_require__(7598);
;// CONCATENATED MODULE: ./lib/postgres/archive/many-files.js



/** Milliseconds after which others have their turn. */
const turn = 10;
/** An answer that takes longer than this (milliseconds) so many times in a row is one of a file system that is slow. */
const slow = 3;
const slowAnswers = 3;
/** Questions after which a slow file system may show that it is no longer. */
const patience = 200;
/**
 * Asks for something small of each of many files. A question that goes through Node's threads takes ten times the processor time
 * of one that this thread asks itself, which is more than all else that is done for a small table. So this thread asks, in
 * turns short enough that nobody waits for it, as long as the file system answers at once; one that does not (across a network) is
 * asked through the threads.
 */
class many_files_ManyFiles {
    turnBegan = performance.now();
    slowInARow = 0;
    patient = 0;
    /** What the system knows of a file; undefined where it is not there, or cannot be asked for. */
    async stat(path) {
        return await this.ask(() => {
            try {
                return statSync(path, { throwIfNoEntry: false });
            }
            catch {
                return undefined;
            }
        }, () => stat(path).catch(() => undefined));
    }
    /**
     * @param now asks, and waits for the answer
     * @param later asks the same through Node's threads
     * @returns the answer of one of the two
     * @throws what that one throws
     */
    async ask(now, later) {
        if (this.patient > 0) {
            this.patient--;
            return await later();
        }
        let began = performance.now();
        if (began - this.turnBegan > turn) {
            await nextTurn();
            began = performance.now();
            this.turnBegan = began;
        }
        try {
            return now();
        }
        finally {
            const isSlow = performance.now() - began > slow;
            this.slowInARow = isSlow ? this.slowInARow + 1 : 0;
            // from then on a single slow answer is enough, until one is quick
            if (this.slowInARow >= slowAnswers)
                this.patient = patience;
        }
    }
}

;// CONCATENATED MODULE: ./lib/migration/pool.js

/**
 * Runs tasks, several at once, and always waits for all that were begun. The first one that fails keeps others from being
 * begun, and aborts the signal that each of them gets: a task that does not look at it is finished.
 *
 * @param tasks a list, which is worked through in its order, or a queue
 * @param run gets the task, the worker's resource, the task's number in the order in which they were begun, and the signal
 * @returns what the tasks returned, in the order in which they were begun
 * @throws Cancelled once the pool's signal is aborted; otherwise the first error
 */
async function pool_inPool(tasks, pool, run) {
    const queue = 'next' in tasks ? tasks : queueOf(tasks);
    const stopper = new AbortController();
    const signal = AbortSignal.any([pool.signal, stopper.signal]);
    const results = [];
    const errors = [];
    let begun = 0;
    const next = async () => {
        const task = await queue.next(signal);
        if (signal.aborted)
            throw new Cancelled();
        return errors.length > 0 ? undefined : task;
    };
    const work = async (worker) => {
        const resource = (await pool.open?.(worker, signal));
        try {
            for (let task = await next(); task !== undefined; task = await next()) {
                const index = begun++;
                results[index] = await run(task, resource, index, signal);
            }
        }
        catch (error) {
            // noted before the resource is closed, so that the others hear of it at once
            fail(error);
        }
        finally {
            await pool.close?.(resource);
        }
    };
    const fail = (error) => {
        errors.push(error);
        queue.close?.();
        if (pool.stop)
            pool.stop();
        else
            stopper.abort(new Cancelled());
    };
    const most = Math.max(1, pool.workers);
    const workers = 'next' in tasks ? most : Math.min(most, tasks.length);
    await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker).catch(fail)));
    if (pool.signal.aborted)
        throw new Cancelled();
    if (errors.length > 0)
        throw pool.choose ? pool.choose(errors) : errors[0];
    return results;
}
function queueOf(tasks) {
    let at = 0;
    return { next: () => tasks[at++] };
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
function text_printable(text) {
    return isPlain(text) ? text : text.replace(unprintable, escaped);
}
/**
 * `text` as one harmless line of the log: printable, and never a command to the runner, which takes commands from
 * `::name` at the start of a line, white space before it or not, and from `##[name]` anywhere in it. Apply it to the
 * whole line, not to its parts: two harmless parts can make a command.
 */
function visible(text) {
    return text_printable(text)
        .replace(/^(\s*)::/u, '$1\\::')
        .replaceAll('##[', '##\\[');
}
/** `text` cut to at most `limit` UTF-16 units, an ellipsis at the end and no character torn where it was cut. */
function text_shorten(text, limit) {
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
    return text_printable(text).replace(/[&<>"']/g, (character) => htmlEscapes[character] ?? '');
}
/**
 * `text` as prose in GitHub's Markdown, also within a table's cell: no emphasis, link, image, HTML, math or footnote
 * begins in it, nor a list or heading at its start. What GitHub finds in the drawn text later on (mentions, issue
 * numbers, emoji codes, addresses) is broken up by an element.
 */
function markdown(text) {
    return text_printable(text)
        .trim()
        .replace(/[&<>\\`*_~|[\]!]|^[-+=]/g, (character) => `&#${character.charCodeAt(0)};`)
        .replace(/(?<!&)#+|[@$]+|:+(?=\S)|(?<=www)\.|(?<=^\d+)[.)](?=\s|$)/gi, '<span>$&</span>');
}
/** `text` as code in GitHub's Markdown, also within a table's cell: for names, where every character counts. */
function markdownCode(text) {
    const line = text_printable(text);
    if (/^[^`|\s](?:[^`|]*[^`|\s])?$/u.test(line))
        return `\`${line}\``;
    // an escaped pipe after a backslash, or a fence around backquotes, is read in more than one way; entities are not
    const [start = '', end = ''] = [/^\s*/u.exec(line)?.[0], /\s+$/u.exec(line)?.[0]];
    const space = (length) => '&#32;'.repeat(length);
    return `<code>${space(start.length)}${markdown(line)}${line.trim() === '' ? '' : space(end.length)}</code>`;
}

;// CONCATENATED MODULE: ./lib/migration/progress-line.js


/** Columns of a progress line: with the clock of a terminal before it, it fits into 100. */
const columns = 92;
/** Columns of a database's name, and the least that are left to a name of what is being worked on. */
const longestName = 20;
const leastName = 12;
/**
 * A line about long work that fits the screen: what, how far, how fast, how long still, and then as much of what is worked on now
 * as there is room for.
 *
 * @param what the work; a name of a database in it is given to `nameOfWork`
 * @param parts an empty one is left out
 * @param now what is worked on, the most telling first: a name, and how far it is
 */
function progressLine(what, parts, now = []) {
    let line = shorten(`${what}: ${parts.filter(Boolean).join(', ')}`, columns);
    let told = 0;
    for (const { name, detail } of now) {
        const end = detail === '' ? '' : ` ${detail}`;
        const left = now.length - told - 1;
        const room = columns - line.length - 2 - end.length - (left > 0 ? ` +${left}`.length : 0);
        const text = printable(name);
        if (text.length > room && (told > 0 || room < leastName))
            break;
        line += `${told === 0 ? '; ' : ', '}${shorten(text, room)}${end}`;
        told++;
    }
    return told > 0 && told < now.length ? `${line} +${now.length - told}` : line;
}
/** Two such lines as one that fits the screen: one that is short leaves its room to the other. */
function sideBySide(one, other) {
    if (!one || !other)
        return one || other;
    const room = columns - ' | '.length;
    const half = Math.floor(room / 2);
    const first = shorten(one, Math.max(half, room - other.length));
    return `${first} | ${shorten(other, room - first.length)}`;
}
/** `restore shop`: a verb and a database's name, made harmless and short. */
function nameOfWork(verb, database) {
    return `${verb} ${shorten(printable(database), longestName)}`;
}
/** Tells of bytes that are worked through: how many of all, how many a second, how long still. */
class progress_line_BytesProgress {
    done = 0;
    began = performance.now();
    what;
    total;
    progress;
    /** @param total where it is known from the beginning; else see `at` */
    constructor(what, progress, total = 0) {
        this.what = what;
        this.progress = progress;
        this.total = total;
    }
    /** So many more are done. */
    add(bytes) {
        this.at(this.done + bytes, this.total);
    }
    /** So many are done in all, of a total that may have grown. */
    at(done, total) {
        this.done = done;
        const seconds = (performance.now() - this.began) / 1000;
        const parts = [...bytesAtRate(done, total, seconds), timeLeft(done, total, seconds)];
        this.progress.update(progressLine(this.what, parts));
    }
}
/** `45 MB of 938 MB`, `35 MB/s`. */
function bytesAtRate(done, total, seconds) {
    return [
        `${formatBytes(done)} of ${formatBytes(total)}`,
        ...(seconds >= 1 && done > 0 ? [formatRate(done / seconds)] : []),
    ];
}

;// CONCATENATED MODULE: ./lib/migration/kept/hash-files.js








/** Files read at once: enough to keep a disk and the hash busy, with a buffer of 1 MiB each. */
const atOnce = 4;
const bufferBytes = (/* unused pure expression or super */ null && (1024 * 1024));
/** Files up to this (bytes) are read and hashed in less time than it takes to have a thread do it. */
const smallBytes = (/* unused pure expression or super */ null && (64 * 1024));
/** Never a link, and nobody waits for a pipe that has taken the place of a file. */
const readFlags = external_node_fs_.constants.O_RDONLY | external_node_fs_.constants.O_NOFOLLOW | external_node_fs_.constants.O_NONBLOCK;
/** The SHA-256 of each file, hexadecimal, in the order given. @throws Failure naming an unreadable file; Cancelled */
async function hash_files_hashFiles(directory, files, what, context) {
    const total = files.reduce((sum, file) => sum + file.bytes, 0);
    const progress = new BytesProgress(what, context.progress, total);
    const pool = {
        workers: atOnce,
        signal: context.signal,
        open: () => Buffer.allocUnsafe(bufferBytes),
    };
    const many = new ManyFiles();
    return await inPool(files, pool, async (file, buffer) => {
        const path = join(directory, file.path);
        const onBytes = (bytes) => {
            if (context.signal.aborted)
                throw new Cancelled();
            progress.add(bytes);
        };
        try {
            const later = () => hashFile(path, buffer, onBytes);
            return file.bytes > smallBytes
                ? await later()
                : await many.ask(() => hashNow(path, buffer, onBytes), later);
        }
        catch (error) {
            if (error instanceof Cancelled)
                throw error;
            throw new Failure(`${file.path} of the dump cannot be read`, messageOf(error), 'Check the disk, and that the file belongs to the user who runs the job', { cause: error });
        }
    });
}
/** As hashFile(), while everybody waits. */
function hashNow(path, buffer, onBytes) {
    const file = openSync(path, readFlags);
    try {
        const hash = createHash('sha256');
        for (;;) {
            const read = readSync(file, buffer, 0, buffer.length, null);
            if (read === 0)
                return hash.digest('hex');
            hash.update(buffer.subarray(0, read));
            onBytes(read);
        }
    }
    finally {
        closeSync(file);
    }
}
async function hashFile(path, buffer, onBytes) {
    const handle = await open(path, readFlags);
    try {
        const hash = createHash('sha256');
        for (;;) {
            const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
            if (bytesRead === 0)
                return hash.digest('hex');
            hash.update(buffer.subarray(0, bytesRead));
            onBytes(bytesRead);
        }
    }
    finally {
        await handle.close();
    }
}

// EXTERNAL MODULE: ./node_modules/valibot/dist/index.mjs
var dist = __webpack_require__(7934);
;// CONCATENATED MODULE: ./lib/migration/database-names.js

/** Databases of the server itself, where no data may go; PolarDB has one more. */
function isSystemDatabase(name) {
    return /^(template[01]|polardb_admin)$/.test(name);
}
/** Databases that providers of PostgreSQL keep on a server for themselves and let nobody into. */
function isProvidersDatabase(name) {
    return /^(polardb_admin|rdsadmin|cloudsqladmin|alloydb(admin|metadata)|azure_(maintenance|sys))$/.test(name);
}
/**
 * Why a text cannot be the name of a database; undefined when it can. PostgreSQL cuts a name after 63 bytes off without an
 * error ("Identifiers and Key Words"), and so would meet another database.
 */
function flawOfName(name) {
    const bytes = Buffer.byteLength(name);
    if (name === '')
        return 'a database without a name';
    if (name.includes('\0'))
        return 'the name of a database with a NUL in it';
    return bytes > 63
        ? `the name of a database of ${bytes} bytes; PostgreSQL has 63 at most`
        : undefined;
}
/**
 * `databases`: names one a line or comma separated, `all`, `name=target-name` renames. A name with a comma, an equals
 * sign or blanks at its ends goes in double quotes, a quote in it doubled, as in SQL.
 */
function parseDatabases(text) {
    const names = [];
    const token = /\s*(?:"((?:[^"]|"")*)"|([^\s",=](?:[^",=\n]*[^\s",=])?))[^\S\n]*([=,\n]|$)/y;
    let position = 0;
    let pending;
    const end = text.trimEnd();
    while (position < end.length) {
        token.lastIndex = position;
        const match = token.exec(end);
        if (!match)
            throw new SyntaxError('it is no list of database names, one a line or comma separated');
        const name = match[1]?.replaceAll('""', '"') ?? match[2] ?? '';
        const flaw = flawOfName(name);
        if (flaw)
            throw new SyntaxError(`it names ${flaw}`);
        if (match[3] === '=') {
            if (pending !== undefined)
                throw new SyntaxError('a rename has two "="');
            pending = name;
        }
        else {
            names.push({ source: pending ?? name, target: name });
            pending = undefined;
        }
        position = token.lastIndex;
    }
    if (pending !== undefined)
        throw new SyntaxError(`the rename of "${pending}" names no target database`);
    if (names.length === 1 && names[0]?.source === 'all' && !end.includes('"'))
        return 'all';
    for (const side of ['source', 'target']) {
        const twice = names.find((name, index) => names.findIndex((other) => other[side] === name[side]) < index);
        if (twice)
            throw new SyntaxError(`the ${side} database "${twice[side]}" is named twice`);
    }
    return names;
}
/** The text of `databases` that names this one database, whatever is in its names: see parseDatabases. */
function databasesInput({ source, target }) {
    return `${quoteIdentifier(source)}=${quoteIdentifier(target)}`;
}

;// CONCATENATED MODULE: ./lib/migration/kept/schema.js


/**
 * The words that schemas of kept data are written in. Whatever is read with them may have been written by anybody, so every
 * piece has a message of its own, which ends the sentence "`field` …": valibot's own would show the value.
 */
/** A text as PostgreSQL can hold it: without NUL. */
const schema_text = dist/* pipe */.FsL(dist/* string */.YjP('is no text'), dist/* check */.z6Y((value) => !value.includes('\0'), 'is a text with a NUL in it'));
/** A text that is not empty. */
const schema_name = dist/* pipe */.FsL(schema_text, dist/* nonEmpty */.hq('is empty'));
const flag = dist/* boolean */.zMY('is neither true nor false');
/** A whole number from 0 on that a JavaScript number holds exactly. */
const count = wholeFrom(0);
/** A number from 0 on. */
const measure = dist/* pipe */.FsL(dist/* number */.aig('is no number'), dist/* check */.z6Y((value) => Number.isFinite(value) && value >= 0, 'is no number from 0 on'));
/** A whole number as text, of any size. */
const digits = matching(/^-?\d{1,60}$/, 'is no whole number as text');
function wholeFrom(least) {
    const message = 'is no whole number';
    return dist/* pipe */.FsL(dist/* number */.aig(message), dist/* check */.z6Y((value) => Number.isSafeInteger(value) && value >= least, message));
}
function matching(pattern, message = 'has not the form that it should have') {
    return dist/* pipe */.FsL(dist/* string */.YjP('is no text'), dist/* regex */.yGV(pattern, message));
}
function oneOf(values) {
    return v.custom((value) => values.some((one) => one === value), `is not one of ${values.join(', ')}`);
}
/** An object with these fields; others are dropped. To valibot a list is an object as well. */
function schema_fields(entries) {
    return dist/* pipe */.FsL(dist/* unknown */.L5J(), dist/* check */.z6Y(isObject, 'is no object'), dist/* object */.Ikc(entries, 'is no object'));
}
/** A list; its length is looked at before its items. */
function list(item, most = Number.POSITIVE_INFINITY) {
    return dist/* pipe */.FsL(dist/* array */.YOg(dist/* unknown */.L5J(), 'is no list'), dist/* maxLength */.Ru6(most, `has more than ${most} entries`), dist/* array */.YOg(item, 'is no list'));
}
/** An object whose keys are data. valibot's `record` passes over the key `constructor` without a word. */
function dictionary(item) {
    return v.pipe(v.custom(isObject, 'is no object'), v.rawTransform(({ dataset, addIssue }) => {
        const entries = [];
        for (const [key, value] of Object.entries(dataset.value)) {
            const { success, output, issues } = v.safeParse(item, value, firstOnly);
            if (success)
                entries.push([key, output]);
            else {
                const [{ message, path = [] }] = issues;
                const here = {
                    type: 'object',
                    origin: 'value',
                    input: dataset.value,
                    key,
                    value,
                };
                addIssue({ message, path: [here, ...path] });
                return {};
            }
        }
        return Object.fromEntries(entries);
    }));
}
function isObject(value) {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}
const firstOnly = { abortEarly: true, abortPipeEarly: true };
/**
 * Reads a text as JSON of a schema.
 *
 * @returns undefined unless it is exactly that; why it is not is nobody's concern
 */
function jsonBy(schema, text) {
    let value;
    try {
        value = JSON.parse(text);
    }
    catch {
        return undefined;
    }
    const { success, output } = v.safeParse(schema, value);
    return success ? output : undefined;
}
/**
 * Reads a value by a schema, to its first flaw.
 *
 * @param root what stands before the fields in messages, or what messages call the whole
 * @param failure makes what is thrown of a flaw: a sentence such as "`files[0].path` is no text", in one printable line without the value;
 *   its second argument is the value, for who knows that it may be shown
 */
function schema_readBy(schema, value, root, failure) {
    const { success, output, issues } = dist/* safeParse */.xLC(schema, value, firstOnly);
    if (success)
        return output;
    const [{ path = [], message, input, received }] = issues;
    let where = root.prefix ?? '';
    for (const { key } of path) {
        if (typeof key === 'number')
            where += `[${key}]`;
        else
            where += where === '' ? String(key) : `.${String(key)}`;
    }
    if (path.length === 0)
        where = root.whole;
    const words = received === 'undefined' ? 'is missing' : message;
    throw failure(`\`${text_shorten(text_printable(where), 200)}\` ${words}`, input);
}

// EXTERNAL MODULE: external "node:util"
var external_node_util_ = __webpack_require__(7975);
;// CONCATENATED MODULE: ./lib/migration/kept/seal.js




/**
 * The seal of a dump: an HMAC-SHA-256 over the exact bytes of `manifest.json`, with a key that scrypt makes of the
 * passphrase. The manifest holds the SHA-256 of every file, the dump's id and its time, so whoever lacks the passphrase can
 * change none of them (docs/encryption.md).
 */
const seal_sealFile = 'manifest.seal';
/** Bytes; ours take 300. */
const seal_mostSealBytes = 4096;
/** Characters below which a passphrase can be found by trying. */
const shortestPassphrase = 12;
/** What a user should know of a passphrase that is too short for what it protects; undefined when it is long enough. */
function weaknessOf(passphrase) {
    return passphrase.length < shortestPassphrase
        ? `The passphrase is short: whoever has the dump or its artifact can try out millions. Use at least ${shortestPassphrase} random characters`
        : undefined;
}
/** Makes the key one of this purpose: the same passphrase and salt give age, or another program, another key. */
const label = 'migrate-to-polardb/v1/manifest-seal';
const saltBytes = 16;
/**
 * N = 2^17, r = 8, p = 1 as for the dump's own encryption (OWASP, Password Storage Cheat Sheet): 128 MiB, half a second. When
 * reading, no seal may make us take less care than that, or more than four times the memory.
 */
const workFactor = 17;
const highestWorkFactor = 19;
/** The text of `manifest.seal`. @param manifest the bytes of `manifest.json` as they are written */
async function seal_makeSeal(manifest, passphrase) {
    const salt = randomBytes(saltBytes);
    const mac = await macOf(manifest, passphrase, { salt, workFactor });
    const seal = {
        format: 'polardb-dump-seal',
        version: 1,
        scrypt: { salt: salt.toString('base64'), n: 2 ** workFactor, r: 8, p: 1 },
        hmacSha256: mac.toString('hex'),
    };
    return `${JSON.stringify(seal, null, 1)}\n`;
}
/**
 * Whether a seal was made with this passphrase over this manifest. The comparison takes the same time wherever the two differ.
 *
 * @param seal the content of `manifest.seal`, which anybody may have written
 * @throws Failure when it is no seal, or asks for more memory than it may
 */
async function seal_isSealedBy(seal, manifest, passphrase) {
    const read = parseSeal(seal);
    return timingSafeEqual(await macOf(manifest, passphrase, read), read.mac);
}
async function macOf(manifest, passphrase, { salt, workFactor }) {
    const n = 2 ** workFactor;
    const options = { N: n, r: 8, p: 1, maxmem: 2 * 128 * n * 8 };
    const key = await deriveKey(passphrase, Buffer.concat([Buffer.from(label), salt]), 32, options);
    return createHmac('sha256', key).update(manifest).digest();
}
const deriveKey = (0,external_node_util_.promisify)(external_node_crypto_.scrypt);
function parseSeal(bytes) {
    if (bytes.length > seal_mostSealBytes)
        throw malformed(`it has more than ${formatBytes(seal_mostSealBytes)}`);
    let value;
    try {
        value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    }
    catch {
        throw malformed('it is not JSON, or cut off');
    }
    const root = object(value);
    if (root.format !== 'polardb-dump-seal')
        throw malformed('`format` is not `polardb-dump-seal`');
    if (root.version !== 1)
        throw malformed('`version` is not 1, the only one that there is');
    const { salt, n, r, p } = object(root.scrypt);
    const factor = typeof n === 'number' ? Math.log2(n) : Number.NaN;
    if (!Number.isInteger(factor) || factor < workFactor || factor > highestWorkFactor)
        throw malformed(`\`scrypt.n\` is no power of two from 2^${workFactor} to 2^${highestWorkFactor}`);
    if (r !== 8 || p !== 1)
        throw malformed('`scrypt.r` is not 8, or `scrypt.p` is not 1');
    return {
        salt: seal_matching(salt, 'scrypt.salt', /^[A-Za-z0-9+/]{22}==$/, 'base64'),
        workFactor: factor,
        mac: seal_matching(root.hmacSha256, 'hmacSha256', /^[0-9a-f]{64}$/, 'hex'),
    };
}
function object(value) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
        throw malformed('it is no object of the form that it should have');
    return value;
}
function seal_matching(value, where, form, encoding) {
    if (typeof value !== 'string' || !form.test(value))
        throw malformed(`\`${where}\` has not the form that it should have`);
    return Buffer.from(value, encoding);
}
function malformed(why) {
    return new Failure(`The dump is refused: ${seal_sealFile} cannot be used`, why, 'Fetch or make the dump again; nothing was restored');
}

;// CONCATENATED MODULE: ./lib/migration/kept/manifest.js







/** Raised whenever a reader of the old format could misread the new one. */
const manifest_formatVersion = 1;
const manifest_manifestFile = 'manifest.json';
const manifest_rolesFile = 'roles.sql';
const manifest_polardbRolesFile = 'roles.polardb.sql';
/** Bytes; above it a manifest is refused unread. The fingerprint of 100,000 tables takes about a third of it. */
const manifest_mostBytes = (/* unused pure expression or super */ null && (256 * 1024 * 1024));
/** Objects and arrays inside one another: ours need eight. */
const mostLevels = 64;
const mostFiles = 5_000_000;
const noSafePath = 'is no path inside the dump';
const version = matching(/^[\w.~+() -]{1,200}$/);
const safePath = dist/* pipe */.FsL(dist/* string */.YjP('is no text'), dist/* check */.z6Y((path) => manifest_isSafePath(path), noSafePath));
const dumpedFile = schema_fields({
    /** Relative to the dump, with `/` between names that are safe on every file system. */
    path: safePath,
    bytes: count,
    /** 64 lower-case hexadecimal digits. */
    sha256: matching(/^[0-9a-f]{64}$/),
});
/** A directory that `pg_restore -Fd` reads, relative to the dump. */
const archive = schema_fields({ path: safePath });
const noName = 'is no name of a database';
const dumpedDatabase = schema_fields({
    /** As the source names it: hostile text. */
    name: dist/* pipe */.FsL(dist/* string */.YjP(noName), dist/* check */.z6Y((name) => name !== '' && name.length <= 1024 && !name.includes('\0'), noName)),
    /** Its name on the target, where `databases` of the dump gave it another one. */
    target: dist/* exactOptional */.yqP(dist/* pipe */.FsL(dist/* string */.YjP(noName), dist/* check */.z6Y((name) => flawOfName(name) === undefined, noName))),
    /** Size on the source server. */
    bytes: count,
    /** In the order of their restore. */
    archives: dist/* pipe */.FsL(list(archive, 10_000), dist/* nonEmpty */.hq('is empty')),
    /** Encoding, locale, settings, …: JSON that the restore reads. */
    properties: dist/* unknown */.L5J(),
    /** What the verification compares the target with: JSON. */
    fingerprint: dist/* unknown */.L5J(),
});
const lossText = dist/* pipe */.FsL(schema_text, dist/* maxLength */.Ru6(10_000, 'has more than 10000 characters'));
const dumpManifest = schema_fields({
    formatVersion: dist/* literal */.euz(manifest_formatVersion, 'is of another version'),
    /** A random UUID: two dumps are the same dump only when they share it. */
    id: matching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
    /** ISO 8601, UTC. */
    createdAt: matching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/),
    source: schema_fields({ version, major: count }),
    client: schema_fields({ version }),
    /** In the order of their restore; none where only the roles were dumped. */
    databases: list(dumpedDatabase, 100_000),
    /** What of the source is in no dump, by what `allow-missing` calls it: a restore asks for it again. */
    losses: dist/* optional */.lqM(list(schema_fields({
        entry: lossText,
        database: dist/* nullable */.mee(lossText),
        reason: lossText,
        remedy: lossText,
    }), 1_000_000), []),
    /** The catalog of roles (JSON) beside `roles.sql` and `roles.polardb.sql`; null when roles were skipped. */
    roles: dist/* nullable */.mee(schema_fields({ catalog: dist/* unknown */.L5J() })),
    /** Every file of the dump but the manifest itself, sorted by path. */
    files: list(dumpedFile, mostFiles),
});
/**
 * Is this a path that a dump may name? Names of letters, digits, `.`, `_` and `-` only, none of them starting with a
 * dot: such a path cannot leave its directory, hide, or be refused by an artifact, a zip or another file system.
 */
function manifest_isSafePath(path) {
    return (path.length <= 512 &&
        path.split('/').every((name) => name.length <= 128 && /^\w[\w.-]*$/.test(name)) &&
        !/\.(\/|$)/.test(path));
}
/**
 * The directory of a database's archive in the dump, whatever the database is called: its own name where that is
 * harmless, otherwise what is harmless of it and a digest of the whole. Two names never share a directory, not even on
 * a file system that ignores case.
 *
 * @param number 1, 2, … in the order of restore
 */
function archivePath(database, number) {
    const digest = createHash('sha256').update(database).digest('hex').slice(0, 16);
    const harmless = database.replace(/[^A-Za-z0-9_-]+/g, '_').slice(0, 40);
    const directory = /^[a-z_][a-z0-9_-]{0,62}$/.test(database)
        ? database
        : `${harmless.replace(/^-/, '_')}.${digest}`;
    return `databases/${directory}/${number}`;
}
/** The text of `manifest.json`. @throws TypeError when a fingerprint, a property or a role is no JSON (a bigint, say) */
function manifest_formatManifest(manifest) {
    const { files, ...rest } = manifest;
    // one line a file keeps a manifest of 20,000 files readable, and a comparison of two short
    const lines = files.map((file) => `    ${JSON.stringify(file)}`);
    const text = JSON.stringify({ format: 'polardb-dump', ...rest, files: [] }, null, 1);
    const end = text.lastIndexOf('"files": []');
    return `${text.slice(0, end)}"files": [\n${lines.join(',\n')}\n ]\n}\n`;
}
/**
 * Reads a manifest that anybody may have written: every field that we rely on is checked, unknown fields are dropped,
 * and nothing in it can reach a prototype. Fingerprint, properties and role catalog stay opaque JSON: who reads them
 * checks them.
 *
 * @param bytes the file's content
 * @throws Failure naming the field that is wrong
 */
function manifest_parseManifest(bytes) {
    if (bytes.length > manifest_mostBytes)
        throw manifest_malformed(`it has more than ${manifest_mostBytes} bytes`);
    let value;
    try {
        value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    }
    catch {
        // JSON.parse quotes the text in its message: not for a log
        throw manifest_malformed('it is not JSON, or cut off');
    }
    checkShape(value);
    const head = read(fields({ format: v.unknown(), formatVersion: v.unknown() }), value);
    if (head.format !== 'polardb-dump')
        throw manifest_malformed('`format` is not `polardb-dump`');
    if (head.formatVersion !== manifest_formatVersion)
        throw new Failure(`The dump has the format version ${manifest_shown(head.formatVersion)}`, `This version of the action reads the format version ${manifest_formatVersion}`, 'Restore it with the version of the action that made it');
    const manifest = read(dumpManifest, value);
    if (manifest.databases.length === 0 && manifest.roles === null)
        throw manifest_malformed('it names neither databases nor roles');
    checkFiles(manifest.files);
    checkDatabases(manifest.databases, manifest.files);
    const paths = new Set(manifest.files.map((file) => file.path));
    for (const name of [manifest_rolesFile, manifest_polardbRolesFile]) {
        if (manifest.roles !== null && !paths.has(name))
            throw manifest_malformed(`\`files\` lacks ${name}`);
        // roles that were taken out of the manifest would be passed over without a word
        if (manifest.roles === null && paths.has(name))
            throw manifest_malformed(`\`roles\` is null, and \`files\` names ${name}`);
    }
    return manifest;
}
function read(schema, value) {
    return readBy(schema, value, { whole: 'the manifest' }, (flaw, found) => 
    // a path is no secret, and whoever looks for its file needs it
    manifest_malformed(flaw.endsWith(noSafePath) ? `${flaw}: ${manifest_shown(found)}` : flaw));
}
function checkFiles(files) {
    const seen = new Set();
    for (const { path } of files) {
        // two names that differ only in case are one file on many file systems
        const key = path.toLowerCase();
        if (seen.has(key))
            throw manifest_malformed(`\`files\` names ${path} twice`);
        if (path === manifest_manifestFile || path === sealFile)
            throw manifest_malformed('`files` names the manifest itself, or its seal');
        seen.add(key);
    }
    for (const { path } of files)
        for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1))
            if (seen.has(path.slice(0, at).toLowerCase()))
                throw manifest_malformed(`\`files\` names ${path} below a file`);
}
function checkDatabases(databases, files) {
    const paths = new Set(files.map((file) => file.path));
    const names = new Set();
    const targets = new Set();
    const archives = new Set();
    for (const [index, database] of databases.entries()) {
        if (names.has(database.name))
            throw manifest_malformed(`\`databases[${index}]\` names a database a second time`);
        names.add(database.name);
        const target = database.target ?? database.name;
        if (targets.has(target))
            throw manifest_malformed(`\`databases[${index}]\` goes where another database goes`);
        targets.add(target);
        for (const { path } of database.archives) {
            if (archives.has(path))
                throw manifest_malformed(`two archives share ${path}`);
            if (!paths.has(`${path}/toc.dat`))
                throw manifest_malformed(`\`files\` lacks ${path}/toc.dat`);
            archives.add(path);
        }
    }
}
/** Refuses what would overflow a reader's stack or reach a prototype when an object is copied; without recursion. */
function checkShape(value) {
    let level = [value];
    for (let depth = 0; level.length > 0; depth++) {
        if (depth > mostLevels)
            throw manifest_malformed(`it nests deeper than ${mostLevels} levels`);
        const next = [];
        for (const item of level) {
            if (typeof item !== 'object' || item === null)
                continue;
            if (Object.hasOwn(item, '__proto__'))
                throw manifest_malformed('it holds a key `__proto__`');
            for (const child of Object.values(item))
                if (typeof child === 'object' && child !== null)
                    next.push(child);
        }
        level = next;
    }
}
/** A hostile value in one short, printable line. */
function manifest_shown(value) {
    return shorten(printable(JSON.stringify(value) ?? String(value)), 120);
}
function manifest_malformed(why) {
    return new Failure(`${manifest_manifestFile} of the dump cannot be used`, why, 'Make the dump again; nothing was restored');
}

;// CONCATENATED MODULE: ./lib/migration/kept/directory.js
var __addDisposableResource = (undefined && undefined.__addDisposableResource) || function (env, value, async) {
    if (value !== null && value !== void 0) {
        if (typeof value !== "object" && typeof value !== "function") throw new TypeError("Object expected.");
        var dispose, inner;
        if (async) {
            if (!Symbol.asyncDispose) throw new TypeError("Symbol.asyncDispose is not defined.");
            dispose = value[Symbol.asyncDispose];
        }
        if (dispose === void 0) {
            if (!Symbol.dispose) throw new TypeError("Symbol.dispose is not defined.");
            dispose = value[Symbol.dispose];
            if (async) inner = dispose;
        }
        if (typeof dispose !== "function") throw new TypeError("Object not disposable.");
        if (inner) dispose = function() { try { inner.call(this); } catch (e) { return Promise.reject(e); } };
        env.stack.push({ value: value, dispose: dispose, async: async });
    }
    else if (async) {
        env.stack.push({ async: true });
    }
    return value;
};
var __disposeResources = (undefined && undefined.__disposeResources) || (function (SuppressedError) {
    return function (env) {
        function fail(e) {
            env.error = env.hasError ? new SuppressedError(e, env.error, "An error was suppressed during disposal.") : e;
            env.hasError = true;
        }
        var r, s = 0;
        function next() {
            while (r = env.stack.pop()) {
                try {
                    if (!r.async && s === 1) return s = 0, env.stack.push(r), Promise.resolve().then(next);
                    if (r.dispose) {
                        var result = r.dispose.call(r.value);
                        if (r.async) return s |= 2, Promise.resolve(result).then(next, function(e) { fail(e); return next(); });
                    }
                    else s |= 1;
                }
                catch (e) {
                    fail(e);
                }
            }
            if (s === 1) return env.hasError ? Promise.reject(env.error) : Promise.resolve();
            if (env.hasError) throw env.error;
        }
        return next();
    };
})(typeof SuppressedError === "function" ? SuppressedError : function (error, suppressed, message) {
    var e = new Error(message);
    return e.name = "SuppressedError", e.error = error, e.suppressed = suppressed, e;
});









/** Lists the parts of a dump that took several artifacts; the artifacts' files, not the dump's. */
const directory_partsFile = 'parts.json';
/** Below the dump's directory, what is downloaded lies here until all of it has proven to be there. */
const incomingDirectory = 'incoming';
/** Is this a name that a dump, encrypted or not, or one under way can have at its top? */
function isPartOfDump(name) {
    return /^(roles(\.polardb)?\.sql|manifest\.(json|seal)(\.tmp)?|parts\.json|databases|incoming|(\d{6,9}|identity|index)\.age|\.zip-\w{6})$/.test(name);
}
/**
 * Ends a dump: every file in the directory is hashed and listed in `manifest.json`, which is written last and in one
 * step, so that a directory with a manifest is a complete dump. Files become readable to their owner alone.
 *
 * @param directory holds the archives at the paths that `contents` names (see `archivePath`), and the role scripts
 * @param passphrase writes a seal beside the manifest, so that nobody without it can change the dump
 * @throws Failure when an archive is missing, a file is none of the dump's, or a file cannot be read; Cancelled
 */
async function sealDump(directory, contents, context, passphrase) {
    for (const name of [manifestFile, sealFile])
        await rm(join(directory, name), { force: true });
    const found = await listFiles(directory);
    const archives = contents.databases.flatMap((database) => database.archives);
    for (const { path } of found) {
        const expected = path === rolesFile ||
            path === polardbRolesFile ||
            archives.some((archive) => path.startsWith(`${archive.path}/`));
        if (!expected || !isSafePath(path))
            throw new Failure(`${shown(path)} in the dump directory does not belong to the dump`, 'A dump holds its archives, its role scripts and its manifest', 'Use an empty directory as dump-directory');
    }
    const digests = await hashFiles(directory, found, 'Hashing the dump', context);
    const files = found.map((file, index) => ({
        ...file,
        sha256: digests[index] ?? '',
    }));
    const manifest = {
        formatVersion,
        id: randomUUID(),
        createdAt: new Date().toISOString(),
        ...contents,
        files,
    };
    const text = Buffer.from(formatManifest(manifest));
    // what cannot be read again must not be found out at the restore; what was read is as large as what there is, and not kept
    parseManifest(text);
    await makePrivate(directory, files);
    if (passphrase !== undefined)
        await writeWhole(join(directory, sealFile), Buffer.from(await makeSeal(text, passphrase)));
    await writeWhole(join(directory, manifestFile), text);
    return manifest;
}
/**
 * Reads a dump's manifest and holds every file against it, before anything is restored.
 *
 * @param proof demands a right seal; without it a seal is not looked at
 * @returns the manifest; all its paths exist below `directory`, as plain files of that size and SHA-256
 * @throws Failure naming the file that is missing, cut off, altered, too many, a link, or the reason why the directory is
 *   no dump; Cancelled
 */
async function openDump(directory, context, proof) {
    const manifest = await readManifest(directory, context, proof);
    const found = await listFiles(directory);
    const expected = new Map(manifest.files.map((file) => [file.path, file]));
    const present = new Map(found.map((file) => [file.path, file]));
    for (const file of manifest.files) {
        const bytes = present.get(file.path)?.bytes;
        if (bytes === undefined)
            throw missing(file.path, found);
        if (bytes !== file.bytes)
            throw refused(`${file.path} has ${bytes} bytes`, `The manifest says ${file.bytes}: it was cut off or altered`);
    }
    for (const { path } of found)
        if (!expected.has(path) && ![manifestFile, sealFile, directory_partsFile].includes(path))
            throw refused(`${shown(path)} does not belong to it`, 'The manifest does not name this file');
    const digests = await hashFiles(directory, manifest.files, 'Checking the dump', context);
    for (const [index, file] of manifest.files.entries())
        if (digests[index] !== file.sha256)
            throw refused(`${file.path} was altered`, 'Its SHA-256 is not the one that the manifest gives');
    return manifest;
}
/** The manifest, once its seal is right. Both are read only once, so nobody can exchange the manifest after its proof. */
async function readManifest(directory, context, proof) {
    const bytes = await readSmall(directory, manifestFile, mostBytes);
    const seal = await readSmall(directory, sealFile, mostSealBytes).catch((error) => {
        if (error.cause?.code === 'ENOENT')
            return undefined;
        throw error;
    });
    if (!proof) {
        if (seal)
            context.log.info('The dump carries a seal; it was not checked: passphrase is not set');
        return parseManifest(bytes);
    }
    if (seal && !(await isSealedBy(seal, bytes, proof.passphrase)))
        throw new Failure(`The dump is refused: ${sealFile} does not fit to ${manifestFile}`, 'The passphrase is not the one that the dump was made with, or the dump was changed', 'Set passphrase to the one that the dump was made with; if it is, make the dump again');
    if (!seal && !proof.decrypted)
        throw new Failure('The dump is refused: it carries no seal', 'passphrase is set, and the dump was made without one, or somebody took its seal away', 'Make the dump with passphrase; or leave passphrase away, if you trust everybody who could write to the directory');
    return parseManifest(bytes);
}
/**
 * The content of one of the dump's own files. One that is too large is cut off after one byte more than `most`, which is
 * enough for its reader to refuse it.
 *
 * @throws Failure when it is missing, no plain file, a link, or cannot be read; its cause has the system's code
 */
async function readSmall(directory, name, most) {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    try {
        const env_1 = { stack: [], error: void 0, hasError: false };
        try {
            const handle = __addDisposableResource(env_1, await open(join(directory, name), flags), true);
            const stats = await handle.stat();
            if (!stats.isFile())
                throw refused(`${name} is no plain file`, 'A dump has no others');
            const limit = Math.min(stats.size, most + 1);
            const buffer = Buffer.alloc(limit);
            let length = 0;
            while (length < limit) {
                const { bytesRead } = await handle.read(buffer, length, limit - length, length);
                if (bytesRead === 0)
                    break;
                length += bytesRead;
            }
            return buffer.subarray(0, length);
        }
        catch (e_1) {
            env_1.error = e_1;
            env_1.hasError = true;
        }
        finally {
            const result_1 = __disposeResources(env_1);
            if (result_1)
                await result_1;
        }
    }
    catch (error) {
        if (error instanceof Failure)
            throw error;
        throw new Failure(`${shown(directory)} is no dump`, `Its ${name} cannot be opened: ${messageOf(error)}`, 'Give the directory or the artifact of a finished dump', { cause: error });
    }
}
/**
 * Every file below a directory, sorted by path.
 *
 * @throws Failure at anything that is neither a directory nor a plain file: a link could lead out of the dump
 */
async function listFiles(directory) {
    const files = [];
    const many = new ManyFiles();
    const waiting = [''];
    for (let parent = waiting.pop(); parent !== undefined; parent = waiting.pop()) {
        for (const entry of await readdir(join(directory, parent), { withFileTypes: true })) {
            const path = parent === '' ? entry.name : `${parent}/${entry.name}`;
            if (entry.isDirectory())
                waiting.push(path);
            else if (entry.isFile()) {
                const file = join(directory, path);
                const { size } = await many.ask(() => lstatSync(file), () => lstat(file));
                files.push({ path, bytes: size });
            }
            else
                throw refused(`${shown(path)} is ${entry.isSymbolicLink() ? 'a symbolic link' : 'no plain file'}`, 'A dump has plain files and directories only');
        }
    }
    return files.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}
/** Role scripts hold password hashes, archives hold everything: 0600 for files, 0700 for the directories above them. */
async function makePrivate(directory, files) {
    const directories = new Set(['']);
    const many = new ManyFiles();
    for (const { path } of files) {
        const file = join(directory, path);
        // those of our programs are so already
        const mode = (await many.stat(file))?.mode ?? 0;
        if ((mode & 0o7777) !== 0o600)
            await chmod(file, 0o600);
        for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1))
            directories.add(path.slice(0, at));
    }
    for (const path of directories)
        await chmod(join(directory, path), 0o700);
}
/** Writes a file so that its name never stands for half of it. */
async function writeWhole(path, content) {
    const temporary = `${path}.tmp`;
    await rm(temporary, { force: true });
    const handle = await open(temporary, 'wx', 0o600);
    try {
        await handle.writeFile(content);
        await handle.sync();
    }
    finally {
        await handle.close();
    }
    await rename(temporary, path);
}
function missing(path, found) {
    return found.some((file) => file.path.startsWith(`${path}.part-`))
        ? new Failure(`The dump is refused: ${path} is missing`, 'Its pieces are there, not joined', `Join them: cat ${path}.part-* > ${path} && rm ${path}.part-*`)
        : refused(`${path} is missing`, 'The manifest names this file');
}
function refused(what, why) {
    return new Failure(`The dump is refused: ${what}`, why, 'Fetch or make the dump again; nothing was restored');
}

;// CONCATENATED MODULE: ./lib/host/rubbish.js





/**
 * Removes files and directories, as many as can be.
 *
 * @param options.onlyDumps leaves a directory alone that holds anything but a dump, or a part of one: after a while somebody
 *   else may use it
 * @returns the paths of those that were to go, without those that stay because of what they hold
 * @throws AggregateError with the error of each that could not be removed
 */
async function removeRubbish(rubbish, options = {}) {
    const errors = [];
    const removed = [];
    for (const { path, contentsOnly, unless } of rubbish) {
        const names = await (0,promises_.readdir)(path).catch(() => []);
        if (unless !== undefined && names.includes(unless))
            continue;
        if (options.onlyDumps && unless !== 'report.json' && !names.every(isPartOfDump))
            continue;
        removed.push(path);
        // what cannot be removed must not keep the rest
        for (const each of contentsOnly ? names.map((name) => (0,external_node_path_.join)(path, name)) : [path])
            await (0,promises_.rm)(each, { recursive: true, force: true, maxRetries: 3 }).catch((error) => errors.push(error));
    }
    if (errors.length > 0)
        throw new AggregateError(errors);
    return removed;
}
/** As removeRubbish, at once and as far as it can be done: for a process that ends now. */
function removeAtOnce(rubbish) {
    for (const { path, contentsOnly, unless } of rubbish) {
        try {
            const names = readdirSync(path);
            if (unless !== undefined && names.includes(unless))
                continue;
            for (const each of contentsOnly ? names.map((name) => join(path, name)) : [path])
                rmSync(each, { recursive: true, force: true });
        }
        catch {
            // the next run tries again
        }
    }
}
/**
 * Ends client programs whose parent was killed. They are known by their environment: their password file lies in the run's
 * private directory.
 */
async function endPrograms(directory) {
    const mine = async () => {
        const pids = [];
        for (const pid of await (0,promises_.readdir)('/proc')) {
            if (!/^\d+$/.test(pid) || Number(pid) === process.pid)
                continue;
            const environment = await (0,promises_.readFile)(`/proc/${pid}/environ`, 'utf8').catch(() => '');
            if (environment.split('\0').some((entry) => entry.startsWith(`PGPASSFILE=${directory}/`)))
                pids.push(Number(pid));
        }
        return pids;
    };
    for (const signal of ['SIGTERM', 'SIGKILL']) {
        const pids = await mine();
        if (pids.length === 0)
            return;
        for (const pid of pids) {
            try {
                process.kill(pid, signal);
            }
            catch {
                // gone in the meantime
            }
        }
        await (0,external_node_timers_promises_.setTimeout)(500);
    }
}

// EXTERNAL MODULE: external "node:child_process"
var external_node_child_process_ = __webpack_require__(1421);
;// CONCATENATED MODULE: ./lib/text/numbers.js
/** Sizes, times, rates and counts in the form that people read, and what a sentence says of many things. */
/** Bytes in PostgreSQL's units (1 kB is 1024 bytes), with one decimal below ten: `9.5 MB`, `120 GB`. */
function numbers_formatBytes(bytes) {
    const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];
    let [unit, value] = [0, Math.max(0, bytes)];
    // 1023.5 would be shown as 1024 of the smaller unit
    while (value >= (unit === 0 ? 1024 : 1023.5) && unit < units.length - 1)
        [unit, value] = [unit + 1, value / 1024];
    if (unit === 0)
        return Math.round(value) === 1 ? '1 byte' : `${Math.round(value)} bytes`;
    return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
/** Seconds as people say them, two units at most: `0.8 s`, `42 s`, `3 min 12 s`, `2 h 5 min`, `1 d 4 h`. */
function formatDuration(seconds) {
    if (seconds < 9.95)
        return `${Math.max(0, seconds).toFixed(1)} s`;
    const whole = Math.round(seconds);
    if (whole < 60)
        return `${whole} s`;
    if (whole < 3600)
        return two(Math.floor(whole / 60), 'min', whole % 60, 's');
    const minutes = Math.round(seconds / 60);
    if (minutes < 1440)
        return two(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
    const hours = Math.round(seconds / 3600);
    return two(Math.floor(hours / 24), 'd', hours % 24, 'h');
}
function two(large, unit, small, smallUnit) {
    return small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smallUnit}`;
}
/** A rate in bytes per second: `35 MB/s`. */
function numbers_formatRate(bytesPerSecond) {
    return `${numbers_formatBytes(bytesPerSecond)}/s`;
}
/** `2 min to 5 min`; once where both ends read the same. */
function formatRange({ low, high }, format) {
    const [from, to] = [format(low), format(high)];
    return from === to ? from : `${from} to ${to}`;
}
/** A count of rows or things, thousands apart: `1,234,567`. */
function formatCount(count) {
    return Math.round(count).toLocaleString('en-US');
}
/** `1 table`, `2 tables`, `1,204 tables`: a count and its noun; `plural` where an `s` does not make it. */
function counted(count, noun, plural = `${noun}s`) {
    return `${formatCount(count)} ${count === 1 ? noun : plural}`;
}
/** The first ten of a list, for a sentence, and how many more there are. */
function firstTen(entries) {
    const more = entries.length > 10 ? ` and ${entries.length - 10} more` : '';
    return `${entries.slice(0, 10).join(', ')}${more}`;
}
/**
 * How long work that has done `done` of `total` in `seconds` will still take at that speed, for the end of a progress
 * line: `about 3 min left`. Empty while that cannot be told (nothing done, nothing to do, done, or not a second in).
 */
function numbers_timeLeft(done, total, seconds) {
    if (!(done > 0 && total > done && seconds >= 1))
        return '';
    return aboutLeft((seconds / done) * (total - done));
}
/** `about 3 min left`, in steps that do not flicker from one line to the next. */
function aboutLeft(seconds) {
    const step = seconds < 60 ? 5 : seconds < 600 ? 30 : seconds < 3600 ? 60 : 300;
    return `about ${formatDuration(Math.max(5, Math.ceil(seconds / step) * step)).replace('5.0 s', '5 s')} left`;
}

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
function sqlstates_isTransient(sqlstate, message = '') {
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
function mayPass(error) {
    const sqlstate = error instanceof Failure ? error.sqlstate : errors_sqlstateOf(error);
    if (sqlstate !== undefined) {
        const said = error instanceof Failure ? `${error.why} ${messageOf(error.cause)}` : messageOf(error);
        return isTransient(sqlstate, said);
    }
    const cause = error instanceof Failure ? error.cause : error;
    const inner = cause instanceof AggregateError ? cause.errors[0] : cause;
    if (inner instanceof Failure)
        return inner !== error && mayPass(inner);
    const { code, message } = (inner ?? {});
    return typeof code === 'string' ? lostCodes.test(code) : lostWords.test(String(message));
}
/** The SQLSTATE of an error from `pg`, or undefined when it is not the server's. */
function errors_sqlstateOf(error) {
    const { code, severity } = (error ?? {});
    return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && severity !== undefined
        ? code
        : undefined;
}

;// CONCATENATED MODULE: ./lib/postgres/watchdog.js


/** A connection that nobody serves is given up after about four minutes; nobody waits for the job's own timeout. */
const watchdog_patience = { silence: 120_000, between: 30_000, looks: 4 };
/** A peer that was silent too long; its code is that of a network that gave up, and so of a lost connection. */
class SilentPeer extends Error {
    name = 'SilentPeer';
    code = 'ETIMEDOUT';
}
/** Counts silence and looks, whoever it is that is silent. */
class Watchdog {
    moved = Date.now();
    strikes = 0;
    looking = false;
    timer;
    options;
    constructor(options) {
        this.options = options;
        this.timer = setInterval(() => void this.tick(), (options.patience ?? watchdog_patience).between);
        this.timer.unref();
    }
    /** Something came. */
    move() {
        this.moved = Date.now();
        this.strikes = 0;
    }
    end() {
        clearInterval(this.timer);
    }
    async tick() {
        const { silence, looks } = this.options.patience ?? watchdog_patience;
        if (this.looking)
            return;
        this.looking = true;
        try {
            if (await this.options.isMoving())
                this.move();
            const quiet = Date.now() - this.moved;
            if (quiet < silence)
                return;
            const before = this.moved;
            const standing = await this.options.look();
            if (this.moved !== before)
                return;
            if (standing === 'works')
                this.strikes = 0;
            else if (standing !== 'unknown')
                this.strikes++;
            if (this.strikes < looks)
                return;
            this.end();
            const why = standing === 'idle'
                ? 'the server, asked over another connection, does not work for it'
                : 'the server does not answer over another connection either';
            this.options.giveUp(new SilentPeer(`no byte came for ${formatDuration(quiet / 1000)}, and ${why}: the connection was given up`));
        }
        finally {
            this.looking = false;
        }
    }
}
/**
 * What sessions do for us, as the server tells it in a session of its own. A session that is active and waits for its client
 * waits for us: where we wait as well, bytes were lost between.
 *
 * @param open opens a session that is not watched itself; closed afterwards
 * @returns never throws
 */
async function standingOf(asked, open) {
    try {
        const { client, close } = await open();
        try {
            const { processID } = client;
            const { rows: own } = await client.query(`SELECT pg_catalog.pg_backend_pid() AS pid, pg_catalog.current_setting('server_version_num') AS number`);
            const number = Number(own[0]?.number);
            // before 9.2 the state stands in the text of the query, and before 9.0 nobody tells its name
            if (number < 90_200)
                return 'unknown';
            const { rows } = await client.query(`SELECT state OPERATOR(pg_catalog.=) 'active'
                ${number >= 90_600 ? `AND wait_event_type IS DISTINCT FROM 'Client'` : ''} AS works
           FROM pg_catalog.pg_stat_activity
          WHERE pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
            AND ${'pid' in asked ? 'pid OPERATOR(pg_catalog.=) $1' : 'application_name OPERATOR(pg_catalog.=) $1'}`, ['pid' in asked ? asked.pid : asked.application]);
            if (rows.some(({ works }) => works === null))
                return 'unknown';
            if (rows.some(({ works }) => works))
                return 'works';
            // behind a pooler the number that a client is told is no process of the server
            if (rows.length === 0 && 'pid' in asked && own[0]?.pid !== processID)
                return 'unknown';
            return 'idle';
        }
        finally {
            await close();
        }
    }
    catch (error) {
        const cause = error?.cause;
        // a server that refuses is there
        return sqlstateOf(error) === undefined && sqlstateOf(cause) === undefined
            ? 'unreachable'
            : 'unknown';
    }
}
/** Watches a session of `pg` until it ends: what it waits for when its peer is silent too long fails as lost. */
function watchSession(client, look, given) {
    const { stream } = client.connection;
    let seen = 0;
    const watchdog = new Watchdog({
        ...(given ? { patience: given } : {}),
        isMoving: () => {
            const { _activeQuery: active } = client;
            const busy = active != null && active.awaitsUs !== true;
            // what is sent to a COPY leaves only as fast as the server takes it
            const bytes = stream.bytesRead + stream.bytesWritten;
            const moved = bytes !== seen;
            seen = bytes;
            return moved || !busy;
        },
        look,
        giveUp: (error) => stream.destroy(error),
    });
    client.once('end', () => watchdog.end());
    return watchdog;
}

;// CONCATENATED MODULE: ./lib/postgres/programs/process.js




/** Process groups under way, so that a dying action can end them all. */
const running = new Set();
/** Milliseconds between SIGTERM and SIGKILL: the runner itself kills 10 s after it cancelled. */
const grace = 2000;
/**
 * Runs a program in a process group of its own and waits for its end. Never a shell. On abort the whole group gets
 * SIGTERM (pg_dump and pg_restore then cancel their statements on the server), and SIGKILL two seconds later.
 *
 * @throws the spawn error (ENOENT, EACCES, E2BIG), or Cancelled or SilentPeer after the group is gone; a non-zero exit is no
 * error here
 */
async function runProgram(path, args, options) {
    options.signal?.throwIfAborted();
    const keep = options.keep ?? 65_536;
    // a child begins with the umask of the moment in which it is spawned
    const before = options.privateFiles ? process.umask(0o077) : undefined;
    let child;
    try {
        child = (0,external_node_child_process_.spawn)(path, args, {
            env: options.env,
            cwd: options.cwd ?? '/',
            detached: true,
            stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
        });
    }
    finally {
        if (before !== undefined)
            process.umask(before);
    }
    const { promise, resolve, reject } = Promise.withResolvers();
    const group = child.pid;
    if (group !== undefined)
        running.add(group);
    let timedOut = false;
    let killer;
    const end = () => {
        if (group === undefined || !running.has(group))
            return;
        signalGroup(group, 'SIGTERM');
        killer ??= setTimeout(() => {
            if (running.has(group))
                signalGroup(group, 'SIGKILL');
        }, grace);
    };
    options.signal?.addEventListener('abort', end, { once: true });
    const timer = options.deadline
        ? setTimeout(() => {
            timedOut = true;
            end();
        }, options.deadline)
        : undefined;
    let silent;
    let seen = -1;
    const watchdog = options.watch && group !== undefined
        ? new Watchdog({
            ...(options.watch.patience ? { patience: options.watch.patience } : {}),
            isMoving: async () => {
                const before = seen;
                seen = await timeOfGroup(group);
                return seen !== before;
            },
            look: options.watch.look,
            giveUp: (error) => {
                silent = error;
                end();
            },
        })
        : undefined;
    const stdout = new Tail(keep);
    const stderr = new Tail(keep);
    const lines = options.onErrorLine ? new LineSplitter(options.onErrorLine) : undefined;
    child.stdout?.on('data', (chunk) => {
        if (!options.onOutput)
            return stdout.add(chunk);
        const taken = options.onOutput(chunk);
        if (!taken)
            return;
        child.stdout?.pause();
        void taken.then(() => child.stdout?.resume());
    });
    child.stderr?.on('data', (chunk) => {
        stderr.add(chunk);
        lines?.add(chunk);
    });
    child.stdin?.on('error', () => { }); // a program may end before it has read everything
    child.stdin?.end(options.input);
    child.on('error', reject);
    child.on('exit', () => {
        clearTimeout(timer);
        clearTimeout(killer);
        if (group === undefined)
            return;
        // A worker may outlive its leader that was killed. Node has reaped the leader by now, so the number of the group stays
        // taken only as long as a worker lives; that is long enough for this signal, and for none later.
        signalGroup(group, 'SIGKILL');
        running.delete(group);
    });
    child.on('close', (code, killedBy) => {
        lines?.flush();
        resolve({ code, killedBy, timedOut, stdout: stdout.text(), stderr: stderr.text() });
    });
    try {
        const result = await promise;
        if (options.signal?.aborted)
            throw new failure_Cancelled();
        if (silent)
            throw silent;
        return result;
    }
    finally {
        watchdog?.end();
        options.signal?.removeEventListener('abort', end);
        clearTimeout(timer);
        clearTimeout(killer);
    }
}
/**
 * The time that the processes of a group have spent on a processor, in nanoseconds: it stands still when all of them wait.
 * -1 where it cannot be read (Linux, proc(5), /proc/pid/schedstat).
 */
async function timeOfGroup(group) {
    let sum = 0;
    let found = false;
    for (const name of await (0,promises_.readdir)('/proc').catch(() => [])) {
        if (!/^\d+$/.test(name))
            continue;
        try {
            const stat = await (0,promises_.readFile)(`/proc/${name}/stat`, 'latin1');
            // the name of the program stands in brackets and may hold anything
            const [, , processGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
            if (Number(processGroup) !== group)
                continue;
            const [time] = (await (0,promises_.readFile)(`/proc/${name}/schedstat`, 'latin1')).split(' ');
            sum += Number(time);
            found = true;
        }
        catch {
            // it has ended meanwhile
        }
    }
    return found ? sum : -1;
}
/** Ends every program under way, at once and without grace: for a process that is about to die. */
function killAllPrograms() {
    for (const group of running)
        signalGroup(group, 'SIGKILL');
}
function signalGroup(group, signal) {
    try {
        process.kill(-group, signal);
    }
    catch {
        // the group is gone already
    }
}
/** The last bytes of a stream. */
class Tail {
    chunks = [];
    size = 0;
    most;
    constructor(most) {
        this.most = most;
    }
    add(chunk) {
        this.chunks.push(chunk);
        this.size += chunk.length;
        while (this.chunks.length > 1 && this.size - (this.chunks[0]?.length ?? 0) >= this.most) {
            this.size -= this.chunks.shift()?.length ?? 0;
        }
    }
    text() {
        return Buffer.concat(this.chunks).subarray(-this.most).toString('utf8');
    }
}
/** Splits a byte stream at newlines; a line longer than 1 MiB is handed on in pieces. */
class LineSplitter {
    rest = Buffer.alloc(0);
    onLine;
    constructor(onLine) {
        this.onLine = onLine;
    }
    add(chunk) {
        let data = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
        for (let at = data.indexOf(10); at >= 0; at = data.indexOf(10)) {
            this.onLine(data.subarray(0, at).toString('utf8'));
            data = data.subarray(at + 1);
        }
        this.rest = Buffer.from(data);
        if (this.rest.length > 1_048_576)
            this.flush();
    }
    flush() {
        if (this.rest.length > 0)
            this.onLine(this.rest.toString('utf8'));
        this.rest = Buffer.alloc(0);
    }
}

;// CONCATENATED MODULE: ./lib/action/artifact-program.js

/**
 * Where the program lies that makes one call of GitHub's artifact client: a bundle beside ours, or the source when that is
 * what runs.
 */
async function artifactProgram() {
    return import.meta.filename.endsWith('.ts')
        ? (0,external_node_path_.join)(import.meta.dirname, 'artifact-process.ts')
        : (0,external_node_path_.join)(import.meta.dirname, '..', 'artifact', 'index.js');
}

;// CONCATENATED MODULE: ./lib/action/artifact-client.js





const words = dist/* string */.YjP('is no text');
const artifact = schema_fields({ name: words, id: count, size: count, digest: dist/* nullish */.cl6(words) });
const answers = {
    upload: schema_fields({ id: dist/* optional */.lqM(count), size: dist/* optional */.lqM(count) }),
    list: list(artifact),
    get: artifact,
    delete: list(schema_fields({ name: words, why: words })),
    download: schema_fields({ digestMismatch: dist/* optional */.lqM(flag) }),
};
/** What the process says, one at a time: how far it is, a line of the client's log, and at last an error or a result. */
const clientMessage = dist/* union */.KCZ([
    schema_fields({ bytes: count }),
    schema_fields({ line: words }),
    schema_fields({ error: schema_fields({ name: words, message: words, status: dist/* optional */.lqM(count) }) }),
    schema_fields({ result: dist/* unknown */.L5J() }),
]);
/** What went wrong in the client, or with its process. */
class artifact_client_ClientError extends Error {
    /** The client's own name for it, `GHESNotSupportedError` say; `PackingError` for a file that could not be read. */
    kind;
    /** The HTTP status of GitHub's REST API. */
    status;
    constructor(kind, message, status) {
        super(message);
        this.kind = kind;
        this.status = status;
    }
}
/** What the client and Node's TLS and proxies read; the job's other variables, secrets among them, stay here. */
const inherited = /^(ACTIONS_(RUNTIME_TOKEN|RESULTS_URL|ARTIFACT_\w+|ORCHESTRATION_ID)|GITHUB_(SERVER_URL|API_URL|RETENTION_DAYS)|(https?|no|all)_proxy|SSL_CERT_(FILE|DIR)|NODE_(OPTIONS|EXTRA_CA_CERTS|USE_ENV_PROXY|USE_SYSTEM_CA|TLS_REJECT_UNAUTHORIZED)|LANG|LC_ALL|TZ)$/i;
/** With many small files, Node's and malloc's defaults keep twice the memory that is in use. */
const thrift = ['--max-semi-space-size=4'];
const thriftyMalloc = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '131072' };
/**
 * Makes one call of the client.
 *
 * @param patience milliseconds of silence after which the call has failed: the client itself would wait for ever for an
 *   answer of the service
 * @throws ClientError; Cancelled, when the process is gone
 */
async function callClient(request, environment, listener, signal, patience) {
    const program = await artifactProgram();
    let last;
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(), patience);
    try {
        const { code, killedBy, stderr } = await runProgram(process.execPath, [...thrift, program], {
            env: { ...only(inherited, environment), ...thriftyMalloc },
            signal: AbortSignal.any([signal, silence.signal]),
            input: JSON.stringify(request),
            keep: 4096,
            onErrorLine(text) {
                timer.refresh();
                const message = parseMessage(text);
                if ('bytes' in message)
                    listener.onBytes?.(message.bytes);
                else if ('line' in message)
                    hear(message.line, listener.onLine);
                else
                    last = message;
            },
        });
        // it kills itself when it has answered
        if (last && 'result' in last)
            return readAnswer(request.call, last.result);
        if (last)
            throw new artifact_client_ClientError(last.error.name, last.error.message, last.error.status);
        const said = withoutSignatures(stderr.trim().split('\n').at(-1) ?? '');
        throw new artifact_client_ClientError('ProcessError', `the artifact client ended with ${killedBy ?? `code ${code}`}: ${said}`);
    }
    catch (error) {
        if (signal.aborted || !silence.signal.aborted)
            throw error;
        throw new artifact_client_ClientError('Silence', `nothing happened for ${patience / 1000} s`);
    }
    finally {
        clearTimeout(timer);
    }
}
function only(names, environment) {
    return Object.fromEntries(Object.entries(environment).filter((entry) => names.test(entry[0]) && entry[1] !== undefined));
}
/**
 * What the client has answered to a call.
 *
 * @throws ClientError where something that is read of it is missing or of another type
 */
function readAnswer(call, result) {
    const schema = answers[call];
    return schema_readBy(schema, result, { whole: 'result' }, (flaw) => new artifact_client_ClientError('AnswerError', `GitHub's artifact client answered, but ${flaw}`));
}
/**
 * One line of what the process writes to stderr.
 *
 * @returns a line of the log where it is no message: Node itself speaks there, too, a warning or the last words of a crash
 */
function parseMessage(text) {
    try {
        const { success, output } = dist/* safeParse */.xLC(clientMessage, JSON.parse(text));
        if (success)
            return output;
    }
    catch {
        // no JSON
    }
    return { line: text };
}
function hear(line, onLine) {
    const mask = /^::add-mask::(.+)$/.exec(line)?.[1];
    if (mask === undefined)
        onLine(withoutSignatures(line.replace(/^::\w+::/, '').replaceAll('%0A', ' ')));
    else
        lib_core/* setSecret */.Pq(mask.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%25', '%'));
}
/** A text without the queries of its URLs: the signature in one is as good as a password. */
function withoutSignatures(text) {
    return text.replace(/(https?:\/\/[^\s?'"]+)\?[^\s'"]*/g, '$1');
}

;// CONCATENATED MODULE: ./lib/migration/kept/artifact-store.js


/** The name is that of an artifact that this run has already. */
class artifact_store_ArtifactNameTaken extends (/* unused pure expression or super */ null && (Failure)) {
}
/** The text of `parts.json`, one line a part. */
function formatParts(parts) {
    const lines = parts.map(({ id, name, digest, bytes }) => JSON.stringify({ id, name, digest, bytes }));
    return `{"format":"polardb-dump-parts","formatVersion":1,"parts":[\n${lines.join(',\n')}\n]}\n`;
}
/** The parts that `parts.json` lists; none when there is no such file. @throws Failure when it is malformed */
function parseParts(text) {
    const wrong = () => new Failure(`The dump is refused: ${partsFile} cannot be used`, 'It is not what this action writes', 'Upload the dump again; nothing was restored');
    let value;
    try {
        value = JSON.parse(text);
    }
    catch {
        throw wrong();
    }
    if (typeof value !== 'object' || value === null)
        throw wrong();
    const { format, formatVersion, parts } = value;
    if (format !== 'polardb-dump-parts' || formatVersion !== 1)
        throw wrong();
    if (!Array.isArray(parts) || parts.length === 0 || parts.length > 1000)
        throw wrong();
    const ids = new Set();
    return parts.map((part) => {
        if (typeof part !== 'object' || part === null)
            throw wrong();
        const { id, name, digest, bytes } = part;
        if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0 || ids.has(id))
            throw wrong();
        if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0)
            throw wrong();
        if (typeof name !== 'string' || name.length > 300)
            throw wrong();
        if (digest !== null && (typeof digest !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(digest)))
            throw wrong();
        ids.add(id);
        return { id, name, digest, bytes };
    });
}

;// CONCATENATED MODULE: ./lib/action/artifact-errors.js



/** What the errors of GitHub's artifact client mean, and what to do about them. */
/** The run has an artifact of that name, or an upload has burnt it. */
function isNameTaken(error) {
    return error instanceof ClientError && /Failed to CreateArtifact: .*\(409\)/s.test(error.message);
}
/** There is no such artifact. */
function isNotFound(error) {
    return error instanceof ClientError && error.kind === 'ArtifactNotFoundError';
}
/** A file vanished or could not be read while the artifact was packed. */
function isPackingError(error) {
    return error instanceof ClientError && error.kind === 'PackingError';
}
/** For a name that a finished artifact has. */
function nameTaken(name) {
    return new ArtifactNameTaken(`The artifact ${name} exists in this run already`, 'Artifacts cannot be changed, and their names are unique in a run', 'Give each job and step an artifact-name of its own');
}
/** Would the same attempt fail again? */
function isFinal(error) {
    if (error instanceof Failure)
        return true;
    if (!(error instanceof ClientError))
        return false;
    const { kind, status, message } = error;
    return (isPackingError(error) ||
        ['GHESNotSupportedError', 'UsageError', 'FilesNotFoundError'].includes(kind) ||
        // 403 is not among them: the service has answered it to what it took a moment later
        [401, 404, 410].includes(status ?? 0) ||
        /\((400|401|404|410|422)\)|Unable to get the ACTIONS_|JWT|Invalid token/.test(message));
}
/** What an upload ends with. */
function uploadFailure(name, error) {
    if (error instanceof Failure)
        return error;
    return new Failure(`The artifact ${name} could not be uploaded`, whyOf(error), remedyOf(error, undefined));
}
/** The reason in one line. */
function whyOf(error) {
    if (error instanceof artifact_client_ClientError && error.kind === 'GHESNotSupportedError')
        return 'GitHub Enterprise Server does not offer this kind of artifact';
    return withoutSignatures(failure_messageOf(error));
}
/** The next step, in one line. @param run the other run that was asked, if any */
function remedyOf(error, run) {
    const text = error instanceof ClientError ? `${error.kind} ${error.message}` : '';
    if (/GHESNotSupportedError|Unable to get the ACTIONS_/.test(text))
        return 'Set upload-dump to false and pass the dump on in dump-directory (with keep-dump: true), on a disk that both jobs see or by a copy';
    if (/UsageError/.test(text))
        return 'Delete artifacts, raise the storage limit of the account, or use dump-directory instead';
    if (run)
        return 'Check run-id, and that github-token has the permission actions: read';
    if (/\(401\)|expired/i.test(text))
        return 'The job has outlived its token: keep the dump in dump-directory with keep-dump: true, and upload it in a job of its own';
    return 'Run the job again; with keep-dump: true the dump also stays in dump-directory';
}

;// CONCATENATED MODULE: ./lib/action/artifact-names.js




function stored(artifact) {
    const { id, name, size, digest } = artifact;
    return { id, name, digest: digest || null, bytes: size };
}
function findBy(run) {
    if (!run)
        return {};
    const [repositoryOwner = '', repositoryName = ''] = run.repository.split('/');
    return {
        findBy: { token: run.token, workflowRunId: run.id, repositoryOwner, repositoryName },
    };
}
/** `<base>-2`, `<base>-3`, …; nothing for the first. */
function numbered(base, number) {
    return number === 1 ? undefined : `${base}-${number}`;
}
function artifact_names_isAttemptOf(candidate, name) {
    return candidate.startsWith(`${name}-attempt-`) && /^\d+$/.test(candidate.slice(name.length + 9));
}
/** @throws Failure naming a file that is no plain file or that the account may not read */
async function checkReadable(directory, files) {
    for (const file of files) {
        try {
            await access(join(directory, file), constants.R_OK);
            if (!(await lstat(join(directory, file))).isFile())
                throw new Error('it is no plain file');
        }
        catch (error) {
            throw new Failure(`${file} cannot be uploaded`, messageOf(error), 'Check the disk, and that the file belongs to the user who runs the job');
        }
    }
}

;// CONCATENATED MODULE: ./lib/action/loose-artifacts.js




/** Names that a message lists. */
const mostListed = 20;
/**
 * The artifacts of a run that are worth nothing until another one follows, which makes something whole of them. Only what this run
 * has made is among them: another job may have an artifact whose name this one was refused.
 */
class LooseArtifacts {
    digests = new Map();
    leave;
    /** @param leave told all of them whenever they change, for the post step of a run that is killed */
    constructor(leave) {
        this.leave = leave;
    }
    /** All of it is with the service, which may show it from now on. */
    add(name, digest) {
        this.digests.set(name, digest);
        this.tell();
    }
    /** What they were the parts of is whole, or about to be. */
    settle() {
        if (this.digests.size === 0)
            return;
        this.digests.clear();
        this.tell();
    }
    /** Those that were made for a name that was asked for: the artifact itself, and what attempts that had failed may have left. */
    of(name) {
        return this.all().filter((made) => made.name === name || isAttemptOf(made.name, name));
    }
    /** Deletes some. @throws Failure that names those that are left; they stay among the others */
    async delete(artifacts, ...call) {
        if (artifacts.length === 0)
            return;
        const left = await deleteArtifacts(artifacts, ...call);
        for (const { name } of artifacts)
            if (!left.names.includes(name))
                this.digests.delete(name);
        this.tell();
        if (left.names.length > 0)
            throw undeleted(left.names, left.why);
    }
    all() {
        return [...this.digests].map(([name, digest]) => ({ name, digest }));
    }
    tell() {
        this.leave(this.all());
    }
}
/**
 * Deletes artifacts of this run. One that is not there is none that is left.
 *
 * @returns those that could not be deleted, and why the first of them could not be. Never throws
 */
async function deleteArtifacts(artifacts, ...[environment, listener, signal, patience]) {
    const gone = new Set();
    const onLine = (line) => {
        listener.onLine(line);
        const name = /^Artifact '(.+)' \(ID: \d+\) deleted$/.exec(line)?.[1];
        if (name !== undefined)
            gone.add(name);
    };
    try {
        const request = { call: 'delete', artifacts };
        const left = await callClient(request, environment, { onLine }, signal, patience);
        return { names: left.map(({ name }) => name), why: left[0]?.why ?? '' };
    }
    catch (error) {
        const why = error instanceof failure_Cancelled ? 'there was no time for it' : whyOf(error);
        return { names: artifacts.map(({ name }) => name).filter((name) => !gone.has(name)), why };
    }
}
/** What it is that some are left. */
function undeleted(names, why) {
    const more = names.length > mostListed ? ` and ${names.length - mostListed} more` : '';
    return new failure_Failure(`Parts of a dump that there will not be could not be deleted: ${names.slice(0, mostListed).join(', ')}${more}`, why, 'Nothing is restored from them; delete them on the page of the run, or let them expire');
}

;// CONCATENATED MODULE: ./lib/action/clean-up.js





const state = 'rubbish';
const partsState = 'parts';
/** Milliseconds for the artifacts that are to be deleted. */
const deletionTime = 60_000;
/** Tells the post step what to remove if main cannot do it any more. Paths only, never a secret. */
function leaveToPost(rubbish) {
    core.saveState(state, JSON.stringify(rubbish));
}
/** Tells the post step which artifacts to delete if main cannot do it any more: those that it said before are void. */
function leavePartsToPost(artifacts) {
    core.saveState(partsState, JSON.stringify(artifacts));
}
/**
 * The post step: ends the programs and removes the files and the parts of a dump that main made and could not remove itself, because
 * it was cancelled or killed. It warns and never fails: the step's verdict is main's.
 */
async function cleanUp() {
    try {
        const rubbish = JSON.parse(lib_core/* getState */.Gu(state) || '[]');
        for (const { path } of rubbish)
            await endPrograms(path);
        await removeRubbish([...rubbish].reverse());
    }
    catch (error) {
        lib_core/* warning */.$e(visible(`Not everything could be removed from the runner: ${failure_messageOf(error)}`));
    }
    await deleteParts();
}
/** After the programs have ended: one of them might still be sending a part. */
async function deleteParts() {
    try {
        const artifacts = JSON.parse(lib_core/* getState */.Gu(partsState) || '[]');
        if (artifacts.length === 0)
            return;
        const listener = { onLine: (line) => lib_core/* debug */.Yz(visible(line)) };
        const limit = AbortSignal.timeout(deletionTime);
        const left = await deleteArtifacts(artifacts, process.env, listener, limit, deletionTime);
        if (left.names.length > 0)
            throw undeleted(left.names, left.why);
        lib_core/* info */.pq('Deleted the parts of a dump that there will not be');
    }
    catch (error) {
        lib_core/* warning */.$e(visible(failure_messageOf(error)));
    }
}


/***/ })

};
