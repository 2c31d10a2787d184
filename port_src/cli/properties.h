/*
 * properties.h -- values as named columns, for formats that have these.
 *
 * A map whose keys are words (all binaries of text, or all atoms) is a row of
 * properties. Any other value goes as a whole into a column `$value`. nil has
 * no property at all. A first look at all elements (properties_note()) finds
 * out which columns there are and of which type:
 *
 *     long     an integer of 64 bits      boolean   true or false
 *     double   a float                    string    a binary of text
 *     json     anything, as format_jsonl.c writes it
 */
#ifndef RHIZOME_CLI_PROPERTIES_H
#define RHIZOME_CLI_PROPERTIES_H

#include "cli/format.h"

enum property_type {
    PROPERTY_NONE,
    PROPERTY_LONG,
    PROPERTY_DOUBLE,
    PROPERTY_BOOLEAN,
    PROPERTY_STRING,
    PROPERTY_JSON,
};

#define PROPERTY_VALUE "$value"

/* With more columns than this, maps go into one as a whole. */
#define PROPERTIES_MAX 1000

struct property {
    struct bytes name; /* owned */
    enum property_type type;
};

struct properties {
    struct property *items; /* by name */
    size_t count;
    size_t capacity;
    enum property_type whole; /* of $value; NONE: there is none */
    bool xml;                 /* text that XML cannot hold is json */
};

void properties_init(struct properties *properties);
void properties_deinit(struct properties *properties);

/* Can XML hold the text? */
bool properties_is_xml(struct bytes text);

/* Takes notice of a value. */
void properties_note(struct properties *properties, struct bytes value);

/* Whether a value goes into columns; if not, and it is not nil, into $value. */
bool properties_has_columns(const struct properties *properties,
                            struct bytes value);

/* What a map has under a name, no bytes if nothing. */
struct bytes properties_find(struct bytes map, struct bytes name);

/* "long", and back. Neo4j's and GraphML's other names are known, too; false
 * for what is none. Types of dates and places are strings. */
const char *property_type_name(enum property_type type);
bool property_type_parse(struct bytes name, enum property_type *ret);

/* A term as text of a type that properties_note() found for it. */
void property_put(struct buffer *out, enum property_type type,
                  struct bytes term);

/* Text as a term, appended; NULL, or what is wrong with it. */
const char *property_read(struct buffer *out, enum property_type type,
                          struct bytes text);

/* --- reading: a map, property by property --------------------------------- */

struct property_map {
    struct buffer names; /* one behind the other */
    struct buffer terms;
    struct property_entry {
        size_t name, name_size;
        size_t term, term_size;
    } * entries;
    size_t count;
    size_t capacity;
};

void property_map_init(struct property_map *map);
void property_map_deinit(struct property_map *map);
void property_map_clear(struct property_map *map);

/* Adds a property, whose term the caller puts to map->terms before:
 * property_map_add(map, name, size of map->terms before that). */
void property_map_add(struct property_map *map, struct bytes name,
                      size_t terms_before);

/* The value that it all makes, in the order that the BEAM gives keys: that of
 * $value if there is one, nothing if there is no property. False if a name
 * comes twice or is too long for an atom. */
bool property_map_value(struct property_map *map, const struct import *import,
                        struct buffer *ret);

/* --- format_jsonl.c ------------------------------------------------------- */

/* A term as JSON that jsonl_read_term() reads back as the same bytes. */
void jsonl_put_term(struct buffer *out, struct bytes term);

/* Appends the term; NULL, or what is wrong. */
const char *jsonl_read_term(struct buffer *out, struct bytes text);

#endif
