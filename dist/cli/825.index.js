export const id = 825;
export const ids = [825];
export const modules = {

/***/ 3825:
/***/ ((__unused_webpack___webpack_module__, __webpack_exports__, __webpack_require__) => {

/* harmony export */ __webpack_require__.d(__webpack_exports__, {
/* harmony export */   keepHeapSmall: () => (/* binding */ keepHeapSmall)
/* harmony export */ });
/* harmony import */ var node_v8__WEBPACK_IMPORTED_MODULE_0__ = __webpack_require__(8877);

/**
 * What V8 is told about its heap, which is otherwise let grow to several times of what is in use before it is tidied up
 * (bench/README.md, "Our own work", says what each of them saves). Both are looked at whenever the heap grows, so they can be set
 * while the process runs (V8 source, heap/new-spaces.cc and heap/memory-controller.cc). Neither is a limit: how much may be in use
 * in the end (--max-old-space-size) stays as it is, and a V8 that no longer knows one of them does without it.
 */
const flags = [
    // new objects stay in the megabyte that the process begins with, instead of up to 48
    '--semi-space-growth-factor=1',
    // the rest is collected when it has grown by three tenths, instead of having doubled or more
    '--heap-growing-percent=30',
];
/** Keeps the memory of this process near to what it uses: to be called before anything large is made. */
function keepHeapSmall() {
    for (const flag of flags)
        (0,node_v8__WEBPACK_IMPORTED_MODULE_0__.setFlagsFromString)(flag);
}


/***/ })

};
