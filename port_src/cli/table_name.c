#include "cli/table_name.h"

#include "cli/term.h"
#include "core/etf.h"
#include "core/key.h"

/* Has the text something like <0.42.0> or #Ref<0.1.2> in it? */
static bool is_opaque(const char *text)
{
    for (const char *at = text; (at = strchr(at, '<')); at++) {
        if (at[1] != '<' && (at == text || at[-1] != '<') && strchr(at, '>'))
            return true;
    }
    return false;
}

bool table_name_read(struct table_name *name, const char *text)
{
    struct buffer term = BUFFER(cli_mem());
    bool good;

    *name = (struct table_name){
        .text = text,
        .key = BUFFER(cli_mem()),
        .scratch = BUFFER(cli_mem()),
    };
    good = term_read(&term, text);
    if (good)
        good = key_encode(buffer_bytes(&term), &name->key) == ST_OK;
    else
        good = is_opaque(text);
    buffer_free(&term);
    return good;
}

void table_name_free(struct table_name *name)
{
    buffer_free(&name->key);
    buffer_free(&name->scratch);
}

bool table_name_is(struct table_name *name, const uint8_t *term)
{
    struct buffer *scratch = &name->scratch;

    scratch->size = 0;
    if (name->key.size)
        return key_encode(bytes_of(term, etf_size(term)), scratch) == ST_OK &&
               bytes_equal(buffer_bytes(scratch), buffer_bytes(&name->key));
    term_text(scratch, term, NULL);
    return strcmp(text_string(scratch), name->text) == 0;
}
