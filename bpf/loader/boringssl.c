/* SPDX-License-Identifier: Apache-2.0
 *
 * OPENSSL_PUT_ERROR passes __FILE__ and a reason code, so a stripped BoringSSL still says where each error of
 * ssl/ssl_lib.cc is raised. Reasons are public ABI (include/openssl/ssl.h) and tell the functions apart; lines and
 * byte patterns change with every release and are not used.
 */
#include "boringssl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "insn.h"
#include "xref.h"

#define SOURCE_PATH "ssl/ssl_lib.cc"
#define LIBRARY_SSL 16 /* ERR_LIB_SSL */

#define REASON_SHOULD_NOT_HAVE_BEEN_CALLED 66 /* ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED: SSL_read, SSL_peek over QUIC */
#define REASON_BAD_LENGTH 111                 /* SSL_R_BAD_LENGTH: only SSL_write */
#define REASON_NULL_SSL_CTX 185               /* SSL_R_NULL_SSL_CTX: only SSL_new */
#define REASON_UNINITIALIZED 226              /* SSL_R_UNINITIALIZED: ssl_read_impl, SSL_write, SSL_do_handshake… */
#define REASON_ALPN_MISMATCH_ON_EARLY_DATA 291
#define REASON_UNKNOWN (-1)

/* Copies of the path: one a BoringSSL; a file with more than two is refused anyway. */
#define MAX_PATHS 4
/* Errors of ssl_lib.cc: about 110. */
#define MAX_REFERENCES 1024
/* Calls into the code around them: some thousands, and the noise of a large file. */
#define MAX_BRANCHES (1u << 17)
/* The longest way from the start of a function to one of its errors, and from a call on to its end. */
#define MAX_BACK 4096
#define MAX_FORWARD 1024
/* Starts tried for one place; each try decodes up to MAX_BACK bytes. */
#define MAX_STARTS_TRIED 48
/* Callers of SSL_peek looked at: SSL_read is one of a handful. */
#define MAX_CALLERS 64
/* Instructions from the load of the path to the call it is for. */
#define MAX_TO_CALL 12
/* The record buffer is further into its struct than this; smaller displacements are list heads and counters. */
#define MIN_FIELD_DISPLACEMENT 0x20
/* Room for an instruction after the last byte of interest. */
#define INSN_MARGIN 16

struct raised {
    uint64_t at;
    uint64_t function;
    int reason;
};

struct boringssl {
    const struct intact_elf *elf;
    struct intact_reference reference_items[MAX_REFERENCES];
    struct intact_references references;
    struct intact_range windows[MAX_REFERENCES];
    unsigned window_count;
    struct intact_branches branches; /* sorted by target */
    struct raised raised[MAX_REFERENCES];
    unsigned raised_count;
};

struct code {
    uint64_t address;
    size_t length;
    uint8_t bytes[MAX_BACK + MAX_FORWARD + INSN_MARGIN];
};

static bool load_code(const struct boringssl *search, uint64_t from, uint64_t to, struct code *code) {
    const struct intact_segment *segment = intact_elf_segment(search->elf, to);

    if (!segment || !segment->executable)
        return false;
    if (from < segment->address || from > to)
        from = segment->address;
    if (to - from > MAX_BACK)
        return false;
    code->address = from;
    code->length = intact_elf_read_at(search->elf, from, code->bytes, sizeof(code->bytes));
    return code->length > to - from;
}

static bool decode(const struct code *code, uint64_t address, struct intact_insn *insn) {
    size_t at = (size_t)(address - code->address);

    return at < code->length && intact_insn_decode(code->bytes + at, code->length - at, address, insn);
}

static int by_place(const void *left, const void *right) {
    uint64_t a = ((const struct intact_reference *)left)->at, b = ((const struct intact_reference *)right)->at;

    return (a > b) - (a < b);
}

static int by_target(const void *left, const void *right) {
    const struct intact_branch *a = left, *b = right;

    if (a->target != b->target)
        return a->target < b->target ? -1 : 1;
    return (a->source > b->source) - (a->source < b->source);
}

/* A range says where the path may begin; where it does begin is what most of the code refers to. */
static uint64_t likeliest_target(const struct intact_references *all, const struct intact_range *range) {
    uint64_t best = 0;
    unsigned most = 0;

    for (uint64_t target = range->first; target <= range->last; target++) {
        unsigned count = 0;

        for (unsigned i = 0; i < all->count; i++)
            count += all->items[i].target == target;
        if (count > most) {
            most = count;
            best = target;
        }
    }
    return best;
}

static const char *find_errors(struct boringssl *search) {
    struct intact_range paths[MAX_PATHS];
    struct intact_references *all = &search->references;
    uint64_t targets[MAX_PATHS];
    unsigned kept = 0, path_count = intact_find_string(search->elf, SOURCE_PATH, paths, MAX_PATHS);

    if (!path_count)
        return "no TLS symbols and no " SOURCE_PATH;
    all->items = search->reference_items;
    all->capacity = MAX_REFERENCES;
    intact_find_references(search->elf, paths, path_count, all);
    if (all->count > all->capacity)
        return "too many references to " SOURCE_PATH;
    for (unsigned i = 0; i < path_count; i++)
        targets[i] = likeliest_target(all, &paths[i]);
    for (unsigned i = 0; i < all->count; i++)
        for (unsigned path = 0; path < path_count; path++)
            if (all->items[i].target == targets[path]) {
                all->items[kept++] = all->items[i];
                break;
            }
    all->count = kept;
    qsort(all->items, kept, sizeof(all->items[0]), by_place);
    return kept ? NULL : "no code refers to " SOURCE_PATH;
}

static const char *find_calls(struct boringssl *search) {
    struct intact_branches *branches = &search->branches;

    for (unsigned i = 0; i < search->references.count; i++) {
        uint64_t at = search->references.items[i].at;
        uint64_t first = at < MAX_BACK ? 0 : at - MAX_BACK, last = at + MAX_FORWARD;

        if (search->window_count && first <= search->windows[search->window_count - 1].last)
            search->windows[search->window_count - 1].last = last;
        else
            search->windows[search->window_count++] = (struct intact_range){.first = first, .last = last};
    }
    branches->capacity = MAX_BRANCHES;
    branches->items = malloc(MAX_BRANCHES * sizeof(branches->items[0]));
    if (!branches->items)
        return "out of memory";
    intact_find_branches(search->elf, search->windows, search->window_count, MAX_BACK, branches);
    if (branches->count > branches->capacity)
        return "too many calls into the code of " SOURCE_PATH;
    qsort(branches->items, branches->count, sizeof(branches->items[0]), by_target);
    return NULL;
}

/* The first branch whose target is not below `address`. */
static unsigned branches_from(const struct boringssl *search, uint64_t address) {
    unsigned low = 0, high = search->branches.count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (search->branches.items[middle].target < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_branch_target(const struct boringssl *search, uint64_t address) {
    unsigned i = branches_from(search, address);

    return i < search->branches.count && search->branches.items[i].target == address;
}

/* Moves `furthest` to the last place the function is known to reach; true when `insn` is its last instruction. Not
 * padding alone: what follows a function can be its neighbour at once, or nops as before a loop. */
static bool ends_function(const struct boringssl *search, const struct intact_insn *insn, uint64_t next,
                          uint64_t *furthest) {
    bool leaves = insn->kind == INTACT_INSN_RETURN || insn->kind == INTACT_INSN_JUMP ||
                  insn->kind == INTACT_INSN_JUMP_INDIRECT || insn->kind == INTACT_INSN_UD2;
    bool goes = insn->kind == INTACT_INSN_JUMP_IF || insn->kind == INTACT_INSN_JUMP;

    /* A jump to what is called elsewhere is a tail call, not a part of this function. */
    if (goes && insn->target > *furthest && insn->target - next < MAX_BACK && !is_branch_target(search, insn->target))
        *furthest = insn->target;
    if (insn->kind == INTACT_INSN_INT3 || (leaves && next > *furthest))
        return true;
    /* A call that does not return can be the end too. */
    return (leaves || insn->kind == INTACT_INSN_CALL) && is_branch_target(search, next);
}

/* Whether straight decoding from `start` meets an instruction that covers `place`, and no end of the function before.
 */
static bool decodes_to(const struct boringssl *search, const struct code *code, uint64_t start, uint64_t place) {
    struct intact_insn insn;
    uint64_t next, furthest = 0;

    for (uint64_t at = start; at <= place && decode(code, at, &insn); at = next) {
        next = at + insn.length;
        if (place < next)
            return true;
        if (ends_function(search, &insn, next, &furthest))
            return false;
    }
    return false;
}

/* A probe in the middle of an instruction would break the program. Decoding falls into step after a few
 * instructions wherever it begins, so most ways that begin before a real boundary arrive at it. */
static bool is_boundary(const struct code *code, uint64_t place) {
    unsigned arrived = 0;
    const unsigned ways = 16, nearest = 48;

    if (place - code->address < nearest + ways)
        return false;
    for (unsigned way = 0; way < ways; way++) {
        struct intact_insn insn;
        uint64_t at = place - nearest - way;

        while (at < place)
            at += decode(code, at, &insn) ? insn.length : 1;
        arrived += at == place;
    }
    return arrived >= ways * 3 / 4;
}

/* What stands right before a function: padding, or the end of another one. No padding is needed: a function can end
 * exactly on the boundary with a jump, or with a call that does not return. */
static bool ends_before(const struct code *code, uint64_t place) {
    size_t at = (size_t)(place - code->address);
    const uint8_t *end = code->bytes + at;

    if (at < 5)
        return false;
    switch (end[-1]) {
    case 0xcc: /* int3 */
    case 0xc3: /* ret */
    case 0x90: /* nop */
    case 0x00: /* the last byte of a long nop */
    case 0x0b: /* ud2 */
    case 0x66:
        return true;
    }
    return end[-5] == 0xe8 || end[-5] == 0xe9 || end[-2] == 0xeb;
}

/* The nearest 16-aligned place at or before `place` that is called, follows an end, and decodes up to `place`.
 * Not .eh_frame: executables made by Bun have none, or a partial one. 0 when there is none. */
static uint64_t function_start(const struct boringssl *search, uint64_t place) {
    struct code code;
    unsigned tried = 0;
    uint64_t last = 0;

    if (!load_code(search, place < MAX_BACK ? 0 : place - MAX_BACK, place, &code))
        return 0;
    for (unsigned i = branches_from(search, place + 1); i-- > 0 && tried < MAX_STARTS_TRIED;) {
        uint64_t start = search->branches.items[i].target;

        if (start < code.address)
            break;
        if (start == last)
            continue;
        last = start;
        tried++;
        if (ends_before(&code, start) && is_boundary(&code, start) && decodes_to(search, &code, start, place))
            return start;
    }
    return 0;
}

/* Constants in registers along a straight run of instructions. */
struct constants {
    uint16_t known;
    int64_t value[16];
};

static void follow_constants(const struct intact_insn *insn, struct constants *constants) {
    switch (insn->kind) {
    case INTACT_INSN_SET_CONSTANT:
        constants->known |= (uint16_t)(1u << (insn->reg & 15));
        constants->value[insn->reg & 15] = insn->constant;
        break;
    case INTACT_INSN_LEA_RIP:
        constants->known &= (uint16_t) ~(1u << (insn->reg & 15));
        break;
    case INTACT_INSN_CALL:
    case INTACT_INSN_CALL_INDIRECT:
    case INTACT_INSN_JUMP:
    case INTACT_INSN_JUMP_INDIRECT:
    case INTACT_INSN_RETURN:
    case INTACT_INSN_UD2:
        constants->known = 0;
        break;
    }
}

/* The arguments were ERR_put_error(library, 0, reason, file, line) and became (library, reason, file, line): the
 * register that holds the file tells which. */
static int reason_of(const struct constants *constants, uint8_t file_register) {
    int64_t reason;
    uint8_t reason_register = file_register == INTACT_RCX ? INTACT_RDX : INTACT_RSI;

    if (file_register != INTACT_RCX && file_register != INTACT_RDX)
        return REASON_UNKNOWN;
    if ((constants->known & (1u << INTACT_RDI)) && constants->value[INTACT_RDI] != LIBRARY_SSL)
        return REASON_UNKNOWN;
    if (!(constants->known & (1u << reason_register)))
        return REASON_UNKNOWN;
    reason = constants->value[reason_register];
    return reason >= 0 && reason < 5000 ? (int)reason : REASON_UNKNOWN;
}

/* The reason of the error whose path is loaded by the instruction with its operand at `operand`. */
static int read_reason(const struct boringssl *search, uint64_t start, uint64_t operand) {
    struct code code;
    struct constants constants = {0};
    struct intact_insn insn;
    uint8_t file_register = 0;
    unsigned after = 0;

    if (!load_code(search, start, operand, &code))
        return REASON_UNKNOWN;
    for (uint64_t at = start; after < MAX_TO_CALL && decode(&code, at, &insn); at += insn.length) {
        if (after && (insn.kind == INTACT_INSN_CALL || insn.kind == INTACT_INSN_JUMP))
            break;
        follow_constants(&insn, &constants);
        if (at <= operand && operand < at + insn.length) {
            file_register = insn.reg;
            constants.known &= (uint16_t) ~(1u << (file_register & 15));
            after = 1;
        } else if (after) {
            after++;
        }
    }
    return after ? reason_of(&constants, file_register) : REASON_UNKNOWN;
}

static void read_errors(struct boringssl *search) {
    for (unsigned i = 0; i < search->references.count; i++) {
        struct raised *raised = &search->raised[search->raised_count];

        raised->at = search->references.items[i].at;
        raised->function = function_start(search, raised->at);
        if (!raised->function)
            continue;
        raised->reason = read_reason(search, raised->function, raised->at);
        search->raised_count++;
    }
}

static bool raises(const struct boringssl *search, uint64_t function, int reason) {
    for (unsigned i = 0; i < search->raised_count; i++)
        if (search->raised[i].function == function && search->raised[i].reason == reason)
            return true;
    return false;
}

static bool raises_only(const struct boringssl *search, uint64_t function, int reason) {
    bool some = false;

    for (unsigned i = 0; i < search->raised_count; i++) {
        if (search->raised[i].function != function)
            continue;
        if (search->raised[i].reason != reason)
            return false;
        some = true;
    }
    return some;
}

static bool is_write(const struct boringssl *search, uint64_t function) {
    return raises(search, function, REASON_BAD_LENGTH);
}

static bool is_new(const struct boringssl *search, uint64_t function) {
    return raises(search, function, REASON_NULL_SSL_CTX);
}

static bool is_read_impl(const struct boringssl *search, uint64_t function) {
    return raises(search, function, REASON_UNINITIALIZED) && !raises(search, function, REASON_BAD_LENGTH) &&
           !raises(search, function, REASON_ALPN_MISMATCH_ON_EARLY_DATA) &&
           !raises(search, function, REASON_SHOULD_NOT_HAVE_BEEN_CALLED);
}

static bool is_reader(const struct boringssl *search, uint64_t function) {
    return raises_only(search, function, REASON_SHOULD_NOT_HAVE_BEEN_CALLED);
}

struct candidates {
    unsigned count;
    uint64_t first;
};

static void add_candidate(struct candidates *candidates, uint64_t function) {
    if (candidates->count && candidates->first == function)
        return;
    candidates->first = candidates->count ? candidates->first : function;
    candidates->count++;
}

static struct candidates choose(const struct boringssl *search,
                                bool (*accept)(const struct boringssl *search, uint64_t function)) {
    struct candidates chosen = {0};

    for (unsigned i = 0; i < search->raised_count; i++) {
        uint64_t function = search->raised[i].function;

        /* Errors are in order of place, so those of one function are together. */
        if ((!i || search->raised[i - 1].function != function) && accept(search, function))
            add_candidate(&chosen, function);
    }
    return chosen;
}

/* Loads seen so far of [register + displacement], by displacement. */
struct fields {
    unsigned count;
    int32_t displacements[32];
};

/* Whether `insn` writes back a field it or an earlier one has read: pending_app_data moving on. */
static bool advances(const struct intact_insn *insn, struct fields *fields) {
    if (insn->base == INTACT_INSN_NO_BASE || insn->base == INTACT_RSP || insn->displacement <= MIN_FIELD_DISPLACEMENT)
        return false;
    if (insn->kind == INTACT_INSN_ADJUST)
        return true;
    if (insn->kind == INTACT_INSN_LOAD && fields->count < sizeof(fields->displacements) / sizeof(int32_t))
        fields->displacements[fields->count++] = insn->displacement;
    for (unsigned i = 0; insn->kind == INTACT_INSN_STORE && i < fields->count; i++)
        if (fields->displacements[i] == insn->displacement)
            return true;
    return false;
}

/* What a function does with `callee`: whether it calls it, and whether it then consumes what that gave. */
static void read_use(const struct boringssl *search, uint64_t function, uint64_t callee, bool *calls, bool *consumes) {
    struct code code;
    struct fields fields = {0};
    struct intact_insn insn;
    uint64_t next, furthest = 0;

    *calls = *consumes = false;
    if (!load_code(search, function, function, &code))
        return;
    for (uint64_t at = function; at - function < MAX_FORWARD && decode(&code, at, &insn); at = next) {
        next = at + insn.length;
        if ((insn.kind == INTACT_INSN_CALL || insn.kind == INTACT_INSN_JUMP) && insn.target == callee)
            *calls = true;
        else if (*calls && advances(&insn, &fields))
            *consumes = true;
        if (ends_function(search, &insn, next, &furthest))
            return;
    }
}

/* SSL_peek calls ssl_read_impl; SSL_read calls either, and then drops from the buffer what it returned. */
static struct candidates choose_read(const struct boringssl *search, uint64_t read_impl) {
    struct candidates peek = {0}, read = {0};
    bool calls, consumes;

    for (unsigned i = 0; i < search->raised_count; i++) {
        uint64_t function = search->raised[i].function;

        if ((i && search->raised[i - 1].function == function) || !is_reader(search, function))
            continue;
        read_use(search, function, read_impl, &calls, &consumes);
        if (calls)
            add_candidate(consumes ? &read : &peek, function);
    }
    if (read.count || peek.count != 1)
        return read;
    for (unsigned caller = 0, i = branches_from(search, peek.first); caller < MAX_CALLERS; caller++, i++) {
        uint64_t function;

        if (i >= search->branches.count || search->branches.items[i].target != peek.first)
            break;
        function = function_start(search, search->branches.items[i].source);

        if (!function || function == peek.first)
            continue;
        read_use(search, function, peek.first, &calls, &consumes);
        if (calls && consumes)
            add_candidate(&read, function);
    }
    return read;
}

static void add(const struct boringssl *search, uint64_t address, uint32_t role, struct intact_tls_functions *found) {
    const struct intact_segment *segment = intact_elf_segment(search->elf, address);

    if (segment)
        intact_add_function(found, address - segment->address + segment->offset, role, INTACT_METHOD_BORINGSSL);
}

static void decide(struct boringssl *search, struct intact_tls_functions *found, char *why, unsigned why_length) {
    const char *problem = find_errors(search);
    struct candidates write, read_impl, new, read = {0};

    if (!problem)
        problem = find_calls(search);
    if (problem) {
        snprintf(why, why_length, "%s", problem);
        return;
    }
    read_errors(search);
    write = choose(search, is_write);
    read_impl = choose(search, is_read_impl);
    if (read_impl.count == 1)
        read = choose_read(search, read_impl.first);
    if (write.count != 1)
        snprintf(why, why_length, "BoringSSL: %u candidates for SSL_write", write.count);
    else if (read_impl.count != 1)
        snprintf(why, why_length, "BoringSSL: %u candidates for ssl_read_impl", read_impl.count);
    else if (read.count != 1)
        snprintf(why, why_length, "BoringSSL: %u candidates for SSL_read", read.count);
    else {
        add(search, read.first, INTACT_TLS_SSL_READ, found);
        add(search, write.first, INTACT_TLS_SSL_WRITE, found);
        /* Tells a session from an earlier one at the same address; done without where it is not sure. */
        new = choose(search, is_new);
        if (new.count == 1)
            add(search, new.first, INTACT_TLS_SSL_NEW, found);
    }
}

void intact_find_boringssl(const struct intact_elf *elf, struct intact_tls_functions *found, char *why,
                           unsigned why_length) {
    struct boringssl *search = calloc(1, sizeof(*search));

    if (!search) {
        snprintf(why, why_length, "out of memory");
        return;
    }
    search->elf = elf;
    decide(search, found, why, why_length);
    free(search->branches.items);
    free(search);
}
