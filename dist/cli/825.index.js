export const id = 825;
export const ids = [825];
export const modules = {

/***/ 3825:
/***/ ((__unused_webpack___webpack_module__, __webpack_exports__, __webpack_require__) => {

/* harmony export */ __webpack_require__.d(__webpack_exports__, {
/* harmony export */   P: () => (/* binding */ tidyHeap),
/* harmony export */   keepHeapSmall: () => (/* binding */ keepHeapSmall)
/* harmony export */ });
/* harmony import */ var node_v8__WEBPACK_IMPORTED_MODULE_0__ = __webpack_require__(8877);
/* harmony import */ var node_vm__WEBPACK_IMPORTED_MODULE_1__ = __webpack_require__(714);


/**
 * What V8 is told about its heap, which is otherwise let grow to several times of what is in use before it is tidied up
 * (bench/README.md, "Our own work", says what each of them saves). They are looked at whenever the heap grows, so they can be set
 * while the process runs (V8 source, heap/new-spaces.cc and heap/memory-controller.cc). None is a limit: how much may be in use
 * in the end (--max-old-space-size) stays as it is, and a V8 that no longer knows one of them does without it.
 */
const flags = {
    grow: '--semi-space-growth-factor=2',
    // new objects stay in what they have, instead of up to 48 MB
    stay: '--semi-space-growth-factor=1',
    // the rest is collected when it has grown by three tenths, instead of having doubled or more
    rest: '--heap-growing-percent=30',
};
/**
 * Bytes for new objects: in the megabyte that a process begins with they are collected so often that many are taken for old ones,
 * which takes a tenth more of a processor.
 */
const young = 4_000_000;
/** Bytes of objects after which V8 is no longer waited for. */
const patience = 5_000_000;
/** Keeps the memory of this process near to what it uses: to be called before anything large is made. */
function keepHeapSmall() {
    (0,node_v8__WEBPACK_IMPORTED_MODULE_0__.setFlagsFromString)(flags.rest);
    (0,node_v8__WEBPACK_IMPORTED_MODULE_0__.setFlagsFromString)(flags.grow);
    // the space for new objects grows when many of them are kept
    const kept = [];
    const bytesEach = 4000;
    while (youngSpace() < young && kept.length * bytesEach < patience)
        kept.push(new Array(bytesEach / 8).fill(kept.length));
    (0,node_v8__WEBPACK_IMPORTED_MODULE_0__.setFlagsFromString)(flags.stay);
}
/** Bytes that were made since it was last tidied up, from which on that is worth its time. */
const worthwhile = 16_000_000;
/** Bytes that were in use when it was. */
let tidied = 0;
let collect;
/**
 * Collects what nobody holds any more, where much was made since the last time: to be called between two pieces of work. V8 itself
 * waits until what is in use has grown by three tenths, and what the next piece of work makes would come on top. Of a heap that is
 * large already it has to have grown by a fifth: looking through it takes a millisecond a megabyte.
 */
function tidyHeap() {
    const used = inUse();
    tidied = Math.min(tidied, used);
    if (used - tidied < Math.max(worthwhile, tidied / 5))
        return;
    if (!collect) {
        (0,node_v8__WEBPACK_IMPORTED_MODULE_0__.setFlagsFromString)('--expose-gc');
        collect = (0,node_vm__WEBPACK_IMPORTED_MODULE_1__.runInNewContext)('gc');
    }
    collect();
    tidied = inUse();
}
/** Bytes in the heap, and of what hangs on it outside. */
function inUse() {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
}
function youngSpace() {
    const space = (0,node_v8__WEBPACK_IMPORTED_MODULE_0__.getHeapSpaceStatistics)().find((one) => one.space_name === 'new_space');
    return space?.space_size ?? young;
}


/***/ })

};
