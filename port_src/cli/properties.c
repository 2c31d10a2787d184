#include "cli/properties.h"

#include <stdlib.h>
#include <strings.h>

#include "cli/term_parts.h"
#include "cli/term_put.h"
#include "core/etf.h"
#include "core/graph.h"

void properties_init(struct properties *properties)
{
    *properties = (struct properties){.count = 0};
}

void properties_deinit(struct properties *properties)
{
    for (size_t i = 0; i < properties->count; i++)
        free((void *)(uintptr_t)properties->items[i].name.data);
    free(properties->items);
}

/* --- types ---------------------------------------------------------------- */

static bool is_word(const uint8_t *p, uint8_t scratch[ATOM_BYTES_MAX],
                    struct bytes *ret)
{
    if (is_atom(p)) {
        read_atom(p, scratch, ret);
        return true;
    }
    return format_is_text(bytes_of(p, etf_size(p)), ret);
}

/* No control characters but three, and no two others. */
bool properties_is_xml(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') ||
            (c == 0xef && text.size - i >= 3 && text.data[i + 1] == 0xbf &&
             text.data[i + 2] >= 0xbe))
            return false;
    }
    return true;
}

static enum property_type type_of(const struct properties *properties,
                                  struct bytes term)
{
    uint8_t scratch[ATOM_BYTES_MAX];
    struct bytes text;

    switch (term.data[0]) {
    case ETF_SMALL_INTEGER:
    case ETF_INTEGER:
        return PROPERTY_LONG;
    case ETF_SMALL_BIG:
        return term.data[1] < 8 ? PROPERTY_LONG : PROPERTY_JSON;
    case ETF_NEW_FLOAT:
        return PROPERTY_DOUBLE;
    case ETF_BINARY:
        return format_is_text(term, &text) &&
                       (!properties->xml || properties_is_xml(text))
                   ? PROPERTY_STRING
                   : PROPERTY_JSON;
    default:
        break;
    }
    if (is_atom(term.data)) {
        read_atom(term.data, scratch, &text);
        if (bytes_equal(text, BYTES("true")) ||
            bytes_equal(text, BYTES("false")))
            return PROPERTY_BOOLEAN;
    }
    return PROPERTY_JSON;
}

static enum property_type merge(enum property_type a, enum property_type b)
{
    return a == PROPERTY_NONE || a == b ? b : PROPERTY_JSON;
}

const char *property_type_name(enum property_type type)
{
    static const char *const names[] = {"",        "long",   "double",
                                        "boolean", "string", "json"};

    return names[type];
}

bool property_type_parse(struct bytes name, enum property_type *ret)
{
    static const struct {
        const char *name;
        enum property_type type;
    } names[] = {
        {"long", PROPERTY_LONG},       {"int", PROPERTY_LONG},
        {"integer", PROPERTY_LONG},    {"short", PROPERTY_LONG},
        {"byte", PROPERTY_LONG},       {"double", PROPERTY_DOUBLE},
        {"float", PROPERTY_DOUBLE},    {"boolean", PROPERTY_BOOLEAN},
        {"string", PROPERTY_STRING},   {"char", PROPERTY_STRING},
        {"point", PROPERTY_STRING},    {"date", PROPERTY_STRING},
        {"time", PROPERTY_STRING},     {"localtime", PROPERTY_STRING},
        {"datetime", PROPERTY_STRING}, {"localdatetime", PROPERTY_STRING},
        {"duration", PROPERTY_STRING}, {"json", PROPERTY_JSON},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (name.size == strlen(names[i].name) &&
            strncasecmp((const char *)name.data, names[i].name, name.size) ==
                0) {
            *ret = names[i].type;
            return true;
        }
    }
    return false;
}

/* --- writing -------------------------------------------------------------- */

/* The place of a name, or where it would stand. */
static size_t place_of(const struct properties *properties, struct bytes name,
                       bool *ret_found)
{
    size_t low = 0;
    size_t high = properties->count;

    *ret_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = bytes_compare(properties->items[middle].name, name);

        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* False if there is no room for one column more. */
static bool note_column(struct properties *properties, struct bytes name,
                        enum property_type type)
{
    bool found;
    size_t at = place_of(properties, name, &found);
    struct property *item;
    uint8_t *copy;

    if (found) {
        item = &properties->items[at];
        item->type = merge(item->type, type);
        return true;
    }
    if (properties->count == PROPERTIES_MAX)
        return false;
    if (properties->count == properties->capacity) {
        size_t capacity = properties->capacity ? 2 * properties->capacity : 16;
        struct property *items =
            realloc(properties->items, capacity * sizeof(*items));

        if (!items)
            text_no_memory();
        properties->items = items;
        properties->capacity = capacity;
    }
    copy = malloc(name.size + 1);
    if (!copy)
        text_no_memory();
    memcpy(copy, name.data, name.size);
    memmove(properties->items + at + 1, properties->items + at,
            (properties->count - at) * sizeof(*item));
    properties->items[at] = (struct property){bytes_of(copy, name.size), type};
    properties->count++;
    return true;
}

/*
 * Is the term a map of words, in the order that a reader gives them? A name
 * that no header could hold (empty, with a mark of ours or a colon) is none.
 */
static bool is_row(struct bytes term)
{
    uint8_t scratch[2][ATOM_BYTES_MAX];
    struct bytes last = {NULL, 0};
    const uint8_t *p = term.data + 5;
    const uint8_t *first = p;
    uint32_t count;

    if (term.data[0] != ETF_MAP)
        return false;
    count = load_be32(term.data + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes name;

        if (!is_word(p, scratch[i % 2], &name) ||
            is_atom(p) != is_atom(first) || !name.size || name.data[0] == '$' ||
            memchr(name.data, ':', name.size) ||
            (i && bytes_compare(last, name) >= 0))
            return false;
        last = name;
        p += etf_size(p);
        if (graph_is_nil(bytes_of(p, etf_size(p))))
            return false; /* no cell says so */
        p += etf_size(p);
    }
    return count > 0;
}

bool properties_has_columns(const struct properties *properties,
                            struct bytes value)
{
    uint8_t scratch[ATOM_BYTES_MAX];
    const uint8_t *p = value.data + 5;
    bool found;

    if (!is_row(value))
        return false;
    for (uint32_t i = load_be32(value.data + 1); i; i--) {
        struct bytes name;

        is_word(p, scratch, &name);
        place_of(properties, name, &found);
        if (!found)
            return false;
        p += etf_size(p);
        p += etf_size(p);
    }
    return true;
}

void properties_note(struct properties *properties, struct bytes value)
{
    uint8_t scratch[ATOM_BYTES_MAX];
    const uint8_t *p = value.data + 5;
    bool good;

    if (graph_is_nil(value))
        return;
    good = is_row(value);
    for (uint32_t i = good ? load_be32(value.data + 1) : 0; i && good; i--) {
        struct bytes name;
        struct bytes term;

        is_word(p, scratch, &name);
        p += etf_size(p);
        term = bytes_of(p, etf_size(p));
        p += term.size;
        good = note_column(properties, name, type_of(properties, term));
    }
    if (!good)
        properties->whole =
            merge(properties->whole, type_of(properties, value));
}

struct bytes properties_find(struct bytes map, struct bytes name)
{
    uint8_t scratch[ATOM_BYTES_MAX];
    const uint8_t *p = map.data + 5;

    for (uint32_t i = load_be32(map.data + 1); i; i--) {
        struct bytes key;
        struct bytes term;

        is_word(p, scratch, &key);
        p += etf_size(p);
        term = bytes_of(p, etf_size(p));
        if (bytes_equal(key, name))
            return term;
        p += term.size;
    }
    return bytes_of(NULL, 0);
}

void property_put(struct buffer *out, enum property_type type,
                  struct bytes term)
{
    if (type == PROPERTY_JSON)
        jsonl_put_term(out, term);
    else
        format_put_text(out, term);
}

/* --- reading -------------------------------------------------------------- */

static const char *read_long(struct buffer *out, struct bytes text)
{
    int64_t integer;
    double value;

    if (number_read(text, true, &integer, &value) != NUMBER_INTEGER)
        return "is no integer of 64 bits";
    term_put_integer(out, integer);
    return NULL;
}

static const char *read_double(struct buffer *out, struct bytes text)
{
    int64_t integer;
    double value;

    switch (number_read(text, true, &integer, &value)) {
    case NUMBER_FLOAT:
        break;
    case NUMBER_INTEGER:
        value = (double)integer;
        break;
    default:
        return "is no finite number";
    }
    term_put_float(out, value);
    return NULL;
}

static const char *read_boolean(struct buffer *out, struct bytes text)
{
    bool is_true =
        text.size == 4 && strncasecmp((const char *)text.data, "true", 4) == 0;

    if (!is_true && (text.size != 5 ||
                     strncasecmp((const char *)text.data, "false", 5) != 0))
        return "is neither true nor false";
    term_put_atom(out, is_true ? BYTES("true") : BYTES("false"));
    return NULL;
}

const char *property_read(struct buffer *out, enum property_type type,
                          struct bytes text)
{
    switch (type) {
    case PROPERTY_LONG:
        return read_long(out, text);
    case PROPERTY_DOUBLE:
        return read_double(out, text);
    case PROPERTY_BOOLEAN:
        return read_boolean(out, text);
    case PROPERTY_JSON:
        return jsonl_read_term(out, text);
    case PROPERTY_NONE:
    case PROPERTY_STRING:
        break;
    }
    term_put_binary(out, text);
    return NULL;
}

void property_map_init(struct property_map *map)
{
    *map = (struct property_map){
        .names = BUFFER(cli_mem()),
        .terms = BUFFER(cli_mem()),
    };
}

void property_map_deinit(struct property_map *map)
{
    buffer_free(&map->names);
    buffer_free(&map->terms);
    free(map->entries);
}

void property_map_clear(struct property_map *map)
{
    map->names.size = 0;
    map->terms.size = 0;
    map->count = 0;
}

void property_map_add(struct property_map *map, struct bytes name,
                      size_t terms_before)
{
    if (map->count == map->capacity) {
        size_t capacity = map->capacity ? 2 * map->capacity : 16;
        struct property_entry *entries =
            realloc(map->entries, capacity * sizeof(*entries));

        if (!entries)
            text_no_memory();
        map->entries = entries;
        map->capacity = capacity;
    }
    map->entries[map->count++] =
        (struct property_entry){map->names.size, name.size, terms_before,
                                map->terms.size - terms_before};
    text_bytes(&map->names, name);
}

static struct bytes entry_name(const struct property_map *map,
                               const struct property_entry *entry)
{
    return bytes_of(map->names.data + entry->name, entry->name_size);
}

static int compare_entries(const void *a, const void *b, void *context)
{
    return bytes_compare(entry_name(context, a), entry_name(context, b));
}

bool property_map_value(struct property_map *map, const struct import *import,
                        struct buffer *ret)
{
    size_t begin;

    ret->size = 0;
    if (!map->count)
        return true;
    if (map->count > 1)
        qsort_r(map->entries, map->count, sizeof(*map->entries),
                compare_entries, map);
    for (size_t i = 0; i < map->count; i++) {
        const struct property_entry *entry = &map->entries[i];

        if (i &&
            bytes_equal(entry_name(map, entry - 1), entry_name(map, entry)))
            return false;
        if (bytes_equal(entry_name(map, entry), BYTES(PROPERTY_VALUE))) {
            text_bytes(
                ret, bytes_of(map->terms.data + entry->term, entry->term_size));
            return true;
        }
    }
    begin = term_put_map_begin(ret);
    for (size_t i = 0; i < map->count; i++) {
        const struct property_entry *entry = &map->entries[i];

        if (!import_put_word(import, ret, entry_name(map, entry)))
            return false;
        text_bytes(ret,
                   bytes_of(map->terms.data + entry->term, entry->term_size));
    }
    term_put_map_end(ret, begin, (uint32_t)map->count);
    return true;
}
