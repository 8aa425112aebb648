/* SPDX-License-Identifier: Apache-2.0
 *
 * One bounded buffer slides over the file, so that scanning costs no memory whatever the size of the file.
 */
#define _GNU_SOURCE
#include "xref.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES (1024 * 1024)
/* What a match may need from before and after its place: the opcode bytes, the operand, the longest path. */
#define MARGIN_BYTES 256
/* The longest run of path characters taken to be the beginning of the string. */
#define MAX_PREFIX_BYTES 200

/* Looks at bytes[from..to), which lies at `address`; may read MARGIN_BYTES to either side, where the file has them. */
struct window {
    const uint8_t *bytes;
    size_t length;
    size_t from, to;
    uint64_t address; /* of bytes[0] */
};

typedef void window_visitor(const struct window *window, void *context);

static void visit_segment(const struct intact_elf *elf, const struct intact_segment *segment, uint8_t *buffer,
                          window_visitor *visit, void *context) {
    for (uint64_t at = 0; at < segment->size; at += WINDOW_BYTES) {
        uint64_t start = at < MARGIN_BYTES ? 0 : at - MARGIN_BYTES;
        uint64_t end = at + WINDOW_BYTES + MARGIN_BYTES;
        struct window window = {.bytes = buffer, .from = at - start, .address = segment->address + start};

        if (end > segment->size)
            end = segment->size;
        window.length = intact_elf_read(elf, segment->offset + start, buffer, end - start);
        if (window.length <= window.from)
            return;
        window.to = window.from + WINDOW_BYTES < window.length ? window.from + WINDOW_BYTES : window.length;
        visit(&window, context);
    }
}

static void visit_segments(const struct intact_elf *elf, bool executable, window_visitor *visit, void *context) {
    uint8_t *buffer = malloc(WINDOW_BYTES + 2 * MARGIN_BYTES);
    /* Segments that overlap would let a small file ask for endless work. */
    uint64_t budget = elf->size + INTACT_ELF_MAX_SEGMENTS * 4096ULL;

    for (unsigned i = 0; buffer && i < elf->segment_count; i++) {
        const struct intact_segment *segment = &elf->segments[i];

        if (segment->executable != executable)
            continue;
        if (segment->size > budget)
            break;
        budget -= segment->size;
        visit_segment(elf, segment, buffer, visit, context);
    }
    free(buffer);
}

struct string_search {
    const char *suffix;
    size_t size;
    struct intact_range *ranges;
    unsigned capacity;
    unsigned count;
};

static void search_string(const struct window *window, void *context) {
    struct string_search *search = context;
    const uint8_t *at = window->bytes + window->from, *end = window->bytes + window->length;

    while ((at = memmem(at, (size_t)(end - at), search->suffix, search->size))) {
        const uint8_t *first = at;

        if (at >= window->bytes + window->to || search->count == search->capacity)
            return;
        while (first > window->bytes && at - first < MAX_PREFIX_BYTES && first[-1] > ' ' && first[-1] < 0x7f)
            first--;
        search->ranges[search->count].first = window->address + (uint64_t)(first - window->bytes);
        search->ranges[search->count++].last = window->address + (uint64_t)(at - window->bytes);
        at++;
    }
}

unsigned intact_find_string(const struct intact_elf *elf, const char *suffix, struct intact_range *ranges,
                            unsigned capacity) {
    struct string_search search = {
        .suffix = suffix, .size = strlen(suffix) + 1, .ranges = ranges, .capacity = capacity};

    visit_segments(elf, false, search_string, &search);
    if (!search.count) /* linked with --no-rosegment */
        visit_segments(elf, true, search_string, &search);
    return search.count;
}

static uint32_t load_32(const uint8_t *bytes) {
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

struct reference_search {
    const struct intact_range *ranges;
    unsigned range_count;
    struct intact_references *found;
};

static void keep_reference(struct intact_references *found, uint64_t at, uint64_t target) {
    if (found->count < found->capacity)
        found->items[found->count] = (struct intact_reference){.at = at, .target = target};
    found->count++;
}

/* lea reg, [rip+disp32]: REX.W, 8d, ModRM with mod 0 and rm 5. */
static bool is_lea(const uint8_t *operand) {
    return (operand[-3] & 0xf8) == 0x48 && operand[-2] == 0x8d && (operand[-1] & 0xc7) == 0x05;
}

/* mov r32, imm32 or mov r64, simm32. */
static bool is_move(const uint8_t *operand) {
    return (operand[-1] & 0xf8) == 0xb8 ||
           ((operand[-3] & 0xf8) == 0x48 && operand[-2] == 0xc7 && (operand[-1] & 0xf8) == 0xc0);
}

static void search_references(const struct window *window, void *context) {
    struct reference_search *search = context;

    for (unsigned i = 0; i < search->range_count; i++) {
        uint64_t first = search->ranges[i].first;
        uint32_t low = (uint32_t)first, span = (uint32_t)(search->ranges[i].last - first);
        size_t from = window->from < 3 ? 3 : window->from;
        size_t to = window->to + 4 <= window->length ? window->to : window->length < 4 ? 0 : window->length - 3;
        uint32_t here = (uint32_t)window->address + 4;

        for (size_t at = from; at < to; at++) {
            uint32_t value = load_32(window->bytes + at);
            uint64_t next = window->address + at + 4, target = next + (uint64_t)(int64_t)(int32_t)value;

            if (value + here + (uint32_t)at - low > span && value - low > span)
                continue;
            /* The test above was on 32 bits only. */
            if (target - first <= span && is_lea(window->bytes + at))
                keep_reference(search->found, next - 4, target);
            else if (value - first <= span && is_move(window->bytes + at))
                keep_reference(search->found, next - 4, value);
        }
    }
}

void intact_find_references(const struct intact_elf *elf, const struct intact_range *ranges, unsigned range_count,
                            struct intact_references *found) {
    struct reference_search search = {.ranges = ranges, .range_count = range_count, .found = found};

    if (range_count)
        visit_segments(elf, true, search_references, &search);
}

struct branch_search {
    const struct intact_range *ranges;
    unsigned range_count;
    uint64_t jump_distance;
    struct intact_branches *found;
};

static bool in_ranges(const struct branch_search *search, uint64_t address) {
    unsigned low = 0, high = search->range_count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (search->ranges[middle].last < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < search->range_count && search->ranges[low].first <= address;
}

static void search_branches(const struct window *window, void *context) {
    struct branch_search *search = context;
    struct intact_branches *found = search->found;
    uint64_t first = search->ranges[0].first, span = search->ranges[search->range_count - 1].last - first;
    size_t to = window->to + 5 <= window->length ? window->to : window->length < 5 ? 0 : window->length - 4;

    for (size_t at = window->from; at < to; at++) {
        uint8_t opcode = window->bytes[at];
        uint64_t source, target;

        if ((opcode & 0xfe) != 0xe8)
            continue;
        source = window->address + at;
        target = source + 5 + (uint64_t)(int64_t)(int32_t)load_32(window->bytes + at + 1);
        if ((target & 15) || target - first > span || !in_ranges(search, target))
            continue;
        if (opcode == 0xe9 && source - target + search->jump_distance <= 2 * search->jump_distance)
            continue;
        if (found->count < found->capacity)
            found->items[found->count] = (struct intact_branch){.target = target, .source = source};
        found->count++;
    }
}

void intact_find_branches(const struct intact_elf *elf, const struct intact_range *ranges, unsigned range_count,
                          uint64_t jump_distance, struct intact_branches *found) {
    struct branch_search search = {
        .ranges = ranges, .range_count = range_count, .jump_distance = jump_distance, .found = found};

    if (range_count)
        visit_segments(elf, true, search_branches, &search);
}
