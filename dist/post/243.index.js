export const id = 243;
export const ids = [243];
export const modules = {

/***/ 4243:
/***/ ((__unused_webpack___webpack_module__, __webpack_exports__, __webpack_require__) => {


// EXPORTS
__webpack_require__.d(__webpack_exports__, {
  cleanUp: () => (/* binding */ cleanUp)
});

// UNUSED EXPORTS: leaveToPost

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
 * What may be shown of an error or warning that `pg` handed over.
 *
 * @returns one line: the server's words, those that are known to hold no value, or the names of the objects concerned
 */
function shownMessage(error) {
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
            return oneLine(message);
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
 * What may be kept of a client program's stderr: the lines that begin a message of the program itself, without what goes on
 * with a server's message. An error waits for what comes after it, which may say that code of the database raised it.
 */
class ProgramLines {
    program;
    write;
    waiting;
    raised = false;
    constructor(program, write) {
        this.program = program;
        this.write = write;
    }
    read(line) {
        if (!line.startsWith(`${this.program}: `)) {
            this.raised ||= isContextOfCode(line);
            return;
        }
        this.end();
        this.waiting = line;
    }
    /** To be called when nothing more comes. */
    end() {
        if (this.waiting !== undefined)
            this.write(shownLine(this.waiting, this.raised));
        this.waiting = undefined;
        this.raised = false;
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
/** `text` in one line, everything unprintable in it written as an escape: `\n`, `\x1b`, `\u202e`. */
function text_printable(text) {
    return text.replace(unprintable, escaped);
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
    const { success, output, issues } = v.safeParse(schema, value, firstOnly);
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
    throw failure(`\`${shorten(printable(where), 200)}\` ${words}`, input);
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
const partsFile = 'parts.json';
/** Below the dump's directory, what is downloaded lies here until all of it has proven to be there. */
const incomingDirectory = 'incoming';
/** Is this a name that a dump, encrypted or not, or one under way can have at its top? */
function isPartOfDump(name) {
    return /^(roles(\.polardb)?\.sql|manifest\.(json|seal)(\.tmp)?|parts\.json|databases|incoming|(\d{6,9}|identity|index)\.age|\.zip-\w{6})$/.test(name);
}
/** Files read at once: enough to keep a disk and the hash busy, with a buffer of 1 MiB each. */
const atOnce = 4;
const bufferBytes = (/* unused pure expression or super */ null && (1024 * 1024));
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
    // what cannot be read again must not be found out at the restore
    const text = Buffer.from(formatManifest(manifest));
    const sealed = parseManifest(text);
    await makePrivate(directory, files);
    if (passphrase !== undefined)
        await writeWhole(join(directory, sealFile), Buffer.from(await makeSeal(text, passphrase)));
    await writeWhole(join(directory, manifestFile), text);
    return sealed;
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
        if (!expected.has(path) && ![manifestFile, sealFile, partsFile].includes(path))
            throw refused(`${shown(path)} does not belong to it`, 'The manifest does not name this file');
    const digests = await hashFiles(directory, manifest.files, 'Checking the dump', context);
    for (const [index, file] of manifest.files.entries())
        if (digests[index] !== file.sha256)
            throw refused(`${file.path} was altered`, 'Its SHA-256 is not the one that the manifest gives');
    return manifest;
}
/** Does the directory hold a manifest, and so a whole dump? Says nothing about the files' integrity. */
async function hasManifest(directory) {
    const stats = await lstat(join(directory, manifestFile)).catch(() => undefined);
    return stats?.isFile() === true;
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
    const waiting = [''];
    for (let parent = waiting.pop(); parent !== undefined; parent = waiting.pop()) {
        for (const entry of await readdir(join(directory, parent), { withFileTypes: true })) {
            const path = parent === '' ? entry.name : `${parent}/${entry.name}`;
            if (entry.isDirectory())
                waiting.push(path);
            else if (entry.isFile())
                files.push({ path, bytes: (await lstat(join(directory, path))).size });
            else
                throw refused(`${shown(path)} is ${entry.isSymbolicLink() ? 'a symbolic link' : 'no plain file'}`, 'A dump has plain files and directories only');
        }
    }
    return files.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}
/** The SHA-256 of each file, hexadecimal, in the order given. @throws Failure naming an unreadable file; Cancelled */
async function hashFiles(directory, files, what, context) {
    const total = files.reduce((sum, file) => sum + file.bytes, 0);
    const progress = new BytesProgress(what, context.progress, total);
    const pool = {
        workers: atOnce,
        signal: context.signal,
        open: () => Buffer.allocUnsafe(bufferBytes),
    };
    return await inPool(files, pool, (file, buffer) => hashFile(join(directory, file.path), file.path, buffer, (bytes) => {
        if (context.signal.aborted)
            throw new Cancelled();
        progress.add(bytes);
    }));
}
async function hashFile(path, name, buffer, onBytes) {
    try {
        const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
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
    catch (error) {
        if (error instanceof Cancelled)
            throw error;
        throw new Failure(`${name} of the dump cannot be read`, messageOf(error), 'Check the disk, and that the file belongs to the user who runs the job', { cause: error });
    }
}
/** Role scripts hold password hashes, archives hold everything: 0600 for files, 0700 for the directories above them. */
async function makePrivate(directory, files) {
    const directories = new Set(['']);
    for (const { path } of files) {
        await chmod(join(directory, path), 0o600);
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

;// CONCATENATED MODULE: ./lib/action/clean-up.js




const state = 'rubbish';
/** Tells the post step what to remove if main cannot do it any more. Paths only, never a secret. */
function leaveToPost(rubbish) {
    core.saveState(state, JSON.stringify(rubbish));
}
/**
 * The post step: ends the programs and removes the files that main made and could not remove itself, because it was cancelled
 * or killed. It warns and never fails: the step's verdict is main's.
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
}


/***/ })

};
