/* `rhizome import` and `export`: known answers, that what goes out comes in
 * again as the same graph, where errors are said to be, and files that are cut,
 * bent or absurd. */
#include "cli/cli_case.h"

#include <signal.h>
#include <zlib.h>

#include "core/etf.h"
#include "core/graph.h"
#include "support/random.h"

/* --- helpers -------------------------------------------------------------- */

static char *write_file(const char *name, const char *text)
{
    char *path = in_scratch(name);

    file_write_text(path, text);
    return path;
}

/* What is under a key of the facts in JSON, up to a comma. */
static const char *fact_of(struct ran ran, const char *key)
{
    const char *at = strstr(ran.out, test_format("\"%s\":", key));

    if (ran.status != 0 || !at)
        fail_msg("exit %d: %s%s", ran.status, ran.out, ran.err);
    at += strlen(key) + 3;
    return test_format("%.*s", (int)strcspn(at, ",}"), at);
}

/* A store's directory that does not exist. */
static char *new_store(void)
{
    static char *paths[256];
    static unsigned count;

    assert_true(count < 256);
    assert_true(asprintf(&paths[count], "%s/store-%u", scratch, count) > 0);
    return paths[count++];
}

static struct ran import(const char *dir, const char *words)
{
    return run(test_format("import --json -d %s -g g %s", dir, words));
}

static const char *exported(const char *dir, const char *words)
{
    struct ran ran = run(test_format("export -d %s -g g %s", dir, words));

    if (ran.status != 0)
        fail_msg("exit %d: %s", ran.status, ran.err);
    return ran.out;
}

/* That a text, imported with these words before the file, is exported as
 * that. */
static void assert_reads(const char *words, const char *text, const char *jsonl)
{
    char *dir = new_store();
    struct ran ran =
        import(dir, test_format("%s %s", words, write_file("input", text)));

    if (ran.status != 0)
        fail_msg("import %s: exit %d: %s", words, ran.status, ran.err);
    assert_string_equal(exported(dir, "jsonl"),
                        test_format("{\"type\":\"graph\",\"directed\":true,"
                                    "\"weight\":\"none\"}\n%s",
                                    jsonl));
}

/* That a text is refused with a line of its own, and leaves nothing. */
static void assert_wrong(const char *words, const char *text,
                         const char *message)
{
    char *dir = new_store();
    char *path = write_file("input", text);

    assert_fails(test_format("import -d %s -g g %s %s", dir, words, path), 65,
                 test_format("%s:%s", path, message));
    assert_int_equal(access(dir, F_OK), -1);
}

#define V(id) "{\"type\":\"vertex\",\"id\":" id "}\n"
#define E(from, to) "{\"type\":\"edge\",\"from\":" from ",\"to\":" to "}\n"

/* --- lists of edges ------------------------------------------------------- */

static void lists_of_edges_are_read(void **state)
{
    const char *simple = V("1") V("2") V("3") E("1", "2") E("2", "3");

    (void)state;
    assert_reads("edges", "# FromNodeId\tToNodeId\n1\t2\n\n2\t3\n", simple);
    assert_reads("edges", "% c\r\n1 2\r\n2   3\r\n", simple);
    assert_reads("edges", "from,to\n1,2\n2,3", simple);
    assert_reads("edges", "Source;Target\n1;2\n2;3\n", simple);
    assert_reads("edges",
                 "\xef\xbb\xbf"
                 "1|2\n2|3\n",
                 simple);
    assert_reads("edges --columns=to,-,from", "2,x,1\n3,y,2\n",
                 V("1") V("2") V("3") E("1", "2") E("2", "3"));
    assert_reads("edges", "1 2 0.5\n",
                 V("1") V("2") "{\"type\":\"edge\",\"from\":1,\"to\":2,"
                               "\"value\":0.5}\n");
    assert_reads("edges", "1 2 7\n1 3\n",
                 V("1") V("2") V("3") "{\"type\":\"edge\",\"from\":1,\"to\":2,"
                                      "\"value\":7}\n" E("1", "3"));
    assert_reads(
        "edges", "ann,bob,knows\n",
        V("\"ann\"")
            V("\"bob\"") "{\"type\":\"edge\",\"from\":\"ann\",\"to\":\"bob\","
                         "\"label\":\"knows\"}\n");
    assert_reads(
        "edges --words atoms", "ann,\"b,\"\"o\nb\",knows,\"7\"\n",
        V("\"ann\"")
            V("\"b,\\\"o\\nb\"") "{\"type\":\"edge\",\"from\":\"ann\",\"to\":"
                                 "\"b,\\\"o\\nb\",\"label\":{\"$atom\":"
                                 "\"knows\"},"
                                 "\"value\":\"7\"}\n");
    assert_reads("edges --ids string", "1 2\n",
                 V("\"1\"") V("\"2\"") E("\"1\"", "\"2\""));
    assert_reads(
        "edges", "007 -5\n18446744073709551616 9223372036854775807\n",
        V("\"007\"") V("-5") V("{\"$integer\":\"18446744073709551616\"}")
            V("{\"$integer\":\"9223372036854775807\"}") E("\"007\"", "-5")
                E("{\"$integer\":\"18446744073709551616\"}",
                  "{\"$integer\":\"9223372036854775807\"}"));
    assert_reads("edges", "", "");
}

static void wrong_lists_of_edges(void **state)
{
    char *digits = test_format("%0700d 1\n", 1);

    (void)state;
    digits[0] = '1';
    assert_wrong("edges", "1 2\n3\n", "2:1: 1 fields; from and to are needed");
    assert_wrong("edges", "1 2\n3 4 5\n", "2:5: 3 fields, and there are 2");
    assert_wrong("edges", "1\n", "1:1: 1 fields");
    assert_wrong("edges", "1,2\n,2\n", "2:1: the vertex is empty");
    assert_wrong("edges",
                 "1,2\n3,a\xff"
                 "b\n",
                 "2:4: the text is no UTF-8");
    assert_wrong("edges", "1,2\n\"a,b\nc\n", "2:1: the quoted field");
    assert_wrong("edges", "1,2\n\"a\"b,c\n", "2:4: text stands behind");
    assert_wrong("edges", "from,to,colour\n1,2,red\n",
                 "1:9: `colour` is no column");
    assert_wrong("edges --header=yes", "a,b\n1,2\n", "1:1: `a` is no column");
    assert_wrong("edges --ids integer", "1 x\n", "1:3: `x` is no integer");
    assert_wrong("edges", digits, "1:1: the integer has 700 digits");
}

static void errors_have_a_bound(void **state)
{
    char *dir = new_store();
    char *path = write_file("input", "1 2\nx\n2 3\ny\n3 4\n");
    struct ran ran = import(dir, test_format("-e 2 edges %s", path));

    (void)state;
    assert_string_equal(fact_of(ran, "edges"), "3");
    assert_string_equal(fact_of(ran, "errors"), "2");
    assert_int_equal(count_lines(ran.err), 2);
    ran = import(dir, test_format("-e 1 edges %s", path));
    assert_int_equal(ran.status, 65);
    assert_contains(ran.err, "input:4:1:");
    assert_contains(ran.err, "more than 1 errors; nothing was changed");
    assert_string_equal(exported(dir, "mtx"),
                        "%%MatrixMarket matrix coordinate pattern general\n"
                        "4 4 3\n1 2\n2 3\n3 4\n");
}

/* --- other formats -------------------------------------------------------- */

static void files_of_neo4j_are_read(void **state)
{
    char *nodes =
        write_file("nodes", ":ID,name,age:int,tags:string[],:LABEL,x:IGNORE\n"
                            "1,Ann,36,a;b,Person;Admin,\n"
                            "two,\"B \"\"o\"\" b\",,,,z\n");
    char *edges = write_file("edges", ":START_ID,:END_ID,:TYPE,w:double\n"
                                      "1,two,KNOWS,1\ntwo,1,,\n");
    char *dir = new_store();
    struct ran ran = import(dir, test_format("neo4j %s %s", edges, nodes));

    (void)state;
    assert_string_equal(fact_of(ran, "vertices"), "2");
    assert_string_equal(
        exported(dir, "jsonl"),
        "{\"type\":\"graph\",\"directed\":true,\"weight\":\"none\"}\n"
        "{\"type\":\"vertex\",\"id\":1,\"labels\":[\"Person\",\"Admin\"],"
        "\"value\":{\"age\":36,\"name\":\"Ann\",\"tags\":[\"a\",\"b\"]}}\n"
        "{\"type\":\"vertex\",\"id\":\"two\",\"value\":{\"name\":"
        "\"B \\\"o\\\" b\"}}\n"
        "{\"type\":\"edge\",\"from\":1,\"to\":\"two\",\"label\":\"KNOWS\","
        "\"value\":{\"w\":1.0}}\n" E("\"two\"", "1"));
    assert_reads("neo4j", ":START_ID(P),:END_ID(Q)\n1,1\n",
                 V("{\"$tuple\":[\"P\",1]}") V("{\"$tuple\":[\"Q\",1]}")
                     E("{\"$tuple\":[\"P\",1]}", "{\"$tuple\":[\"Q\",1]}"));
    assert_wrong("neo4j", "", "1:1: there is no header");
    assert_wrong("neo4j", "a,b\n", "1:1: a header has either :ID");
    assert_wrong("neo4j", ":ID,a:color\n", "1:5: the column `a:color`");
    assert_wrong("neo4j", ":ID,a,a:int\n", "1:7: the column `a:int` stands");
    assert_wrong("neo4j", ":ID,a:int\n1,x\n", "2:3: the property `a`, long");
    assert_wrong("neo4j", ":ID,a:int\n1\n", "2:1: 1 fields, and the header");
}

static void lines_of_json_are_read(void **state)
{
    (void)state;
    assert_reads("jsonl",
                 "\n{\"type\":\"node\",\"id\":\"0\",\"labels\":[\"U\"],"
                 "\"properties\":{\"a\":[1,2]}}\n"
                 "{\"id\":\"7\",\"type\":\"relationship\",\"label\":\"K\","
                 "\"start\":{\"id\":\"0\",\"labels\":[]},\"end\":{\"id\":"
                 "\"1\"}}\n",
                 "{\"type\":\"vertex\",\"id\":\"0\",\"labels\":[\"U\"],"
                 "\"value\":{\"a\":[1,2]}}\n" V(
                     "\"1\"") "{\"type\":\"edge\",\"from\":\"0\",\"to\":\"1\","
                              "\"label\":\"K\"}\n");
    assert_reads("jsonl",
                 " { \"type\" : \"vertex\" , \"id\" : "
                 "\"\\u00e9\\ud83d\\ude00\\n\" }",
                 V("\"\xc3\xa9\xf0\x9f\x98\x80\\n\""));
    assert_wrong("jsonl", "{}\n", "1:3: the object has no type");
    assert_wrong("jsonl", "{\"type\":\"vertex\"}\n", "1:1: the vertex has no");
    assert_wrong("jsonl", "{\"type\":\"edge\",\"from\":1}\n",
                 "1:1: the edge has no `to`");
    assert_wrong("jsonl", "{\"type\":\"vertex\",\"id\":[1,]}\n",
                 "1:26: a value is expected");
    assert_wrong("jsonl",
                 V("1") "{\"type\":\"vertex\",\"id\":{\"a\":1,"
                        "\"a\":2}}\n",
                 "2:36: a key stands twice");
    assert_wrong("jsonl", "{\"type\":\"vertex\",\"id\":1e999}",
                 "1:28: this is");
    assert_wrong("jsonl", "{\"type\":\"vertex\",\"id\":\"\\ud800\"}",
                 "1:30: half of a surrogate pair");
    assert_wrong("jsonl", "{\"type\":\"vertex\",\"id\":\"\xff\"}", "1:24:");
    assert_wrong("jsonl", "{\"type\":\"vertex\",\"id\":{\"$etf\":\"g2g\"}}",
                 "1:36: this is no external term");
    assert_wrong("jsonl", "{\"type\":\"vertex\",\"id\":1,\"labels\":[null]}",
                 "1:1: nil is no label");
}

/* An array in an array, and so on. */
static char *nested(unsigned depth)
{
    char *text = malloc(2 * depth + 64);
    size_t size;

    assert_non_null(text);
    size = (size_t)sprintf(text, "{\"type\":\"vertex\",\"id\":1,\"value\":");
    memset(text + size, '[', depth);
    memset(text + size + depth, ']', depth);
    strcpy(text + size + 2 * depth, "}\n");
    return text;
}

static void depth_has_a_bound(void **state)
{
    char *text = nested(900);

    (void)state;
    assert_int_equal(
        import(new_store(), test_format("jsonl %s", write_file("deep", text)))
            .status,
        0);
    free(text);
    text = nested(1500);
    assert_wrong("jsonl", text, "1:");
    free(text);
    text = nested(200000);
    assert_wrong("jsonl", text, "1:2133: values are nested too deeply");
    free(text);
}

#define GRAPHML(text)                                                          \
    "<?xml version=\"1.0\"?>\n<graphml xmlns=\"http://graphml.graphdrawing."   \
    "org/xmlns\">\n" text "</graphml>\n"

static void graphml_is_read(void **state)
{
    (void)state;
    assert_reads(
        "graphml",
        GRAPHML("<key id='n' for='node' attr.name='name' attr.type='string'/>"
                "<key id='w' for='edge' attr.name='weight' attr.type='double'>"
                "<default>1</default></key>"
                "<key id='l' for='node' attr.name='labels' "
                "attr.type='string'/>"
                "<key id='y' for='node' yfiles.type='nodegraphics'/>"
                "<graph edgedefault='directed'>"
                "<node id='1'><data key='n'> A &amp; B</data>"
                "<data key='l'>:a:b</data></node><node id='b'>"
                "<data key='n'><![CDATA[<x>]]></data></node>"
                "<edge source='1' target='b'/>"
                "<edge source='b' target='b'><data key='w'> 0.5 </data>"
                "</edge></graph>"),
        "{\"type\":\"vertex\",\"id\":1,\"labels\":[\"a\",\"b\"],\"value\":"
        "{\"name\":\" A & B\"}}\n{\"type\":\"vertex\",\"id\":\"b\",\"value\":"
        "{\"name\":\"<x>\"}}\n{\"type\":\"edge\",\"from\":1,\"to\":\"b\","
        "\"value\":{\"weight\":1.0}}\n{\"type\":\"edge\",\"from\":\"b\","
        "\"to\":\"b\",\"value\":{\"weight\":0.5}}\n");
    assert_wrong("graphml", "", "1:1: no element found");
    assert_wrong("graphml", "<html/>", "1:1: the root is no graphml");
    assert_wrong("graphml", "<graphml><graph><node/></graph></graphml>",
                 "1:17: an element has no attribute `id`");
    assert_wrong("graphml", "<graphml>\n<graph>\n<edge source='1'/>",
                 "3:1: an element has no attribute `target`");
    assert_wrong("graphml", "<graphml>\n<graph></wrong>", "2:10: mismatched");
    assert_wrong("graphml", GRAPHML("<graph>\n<node id='1'><graph/></node>"),
                 "4:14: a graph stands in another one");
    assert_wrong("graphml",
                 GRAPHML("<key id='a' attr.type='int'/><graph>\n<node id='1'>"
                         "<data key='a'>x</data></node></graph>"),
                 "4:29: data of the type long: is no integer of 64 bits");
    assert_wrong("graphml",
                 GRAPHML("<graph>\n<node id='1'><data key='q'/></node>"),
                 "4:14: data of a key that is not declared `q`");
}

static void entities_are_refused(void **state)
{
    (void)state;
    assert_wrong("graphml",
                 "<!DOCTYPE g [<!ENTITY a \"aaaaaaaaaa\">\n"
                 "<!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]>"
                 "<graphml><graph><node id=\"&b;\"/></graph></graphml>",
                 "1:25: the file declares entities");
}

static void matrices_are_read(void **state)
{
    char *dir = new_store();
    char *path;

    (void)state;
    assert_reads("mtx",
                 "%%MatrixMarket matrix coordinate real general\n% c\n3 3 2\n"
                 "1 2 0.5\n 2  3 1\n",
                 V("1") V("2") V("3") "{\"type\":\"edge\",\"from\":1,\"to\":2,"
                                      "\"value\":0.5}\n"
                                      "{\"type\":\"edge\",\"from\":2,\"to\":3,"
                                      "\"value\":1.0}\n");
    assert_reads("mtx --direction=directed",
                 "%%MatrixMarket MATRIX coordinate integer skew-symmetric\n"
                 "2 2 1\n2 1 5\n",
                 V("1") V("2") "{\"type\":\"edge\",\"from\":1,\"to\":2,"
                               "\"value\":-5}\n"
                               "{\"type\":\"edge\",\"from\":2,\"to\":1,"
                               "\"value\":5}\n");
    assert_reads("mtx",
                 "%%MatrixMarket matrix coordinate pattern general\n1 2 1\n"
                 "1 2\n",
                 V("1") V("2") V("3") E("1", "3"));
    path = write_file("input",
                      "%%MatrixMarket matrix coordinate pattern symmetric\n"
                      "2 2 2\n2 1\n2 2\n");
    assert_string_equal(
        fact_of(import(dir, test_format("mtx %s", path)), "directed"), "false");
    assert_string_equal(exported(dir, "mtx"),
                        "%%MatrixMarket matrix coordinate pattern symmetric\n"
                        "2 2 2\n2 1\n2 2\n");
    assert_wrong("mtx", "1 2\n", "1:1: this does not begin with");
    assert_wrong("mtx", "%%MatrixMarket matrix array real general\n",
                 "1:23: only coordinates");
    assert_wrong("mtx", "%%MatrixMarket matrix coordinate complex general\n",
                 "1:34: the field is");
    assert_wrong("mtx",
                 "%%MatrixMarket matrix coordinate real general\n2 2 2\n"
                 "1 2 3\n",
                 "3: the file is cut off: 1 of 2 entries");
    assert_wrong("mtx",
                 "%%MatrixMarket matrix coordinate real general\n2 2 1\n"
                 "1 3 3\n",
                 "3:3: the column is from 1 to 2");
    assert_wrong("mtx",
                 "%%MatrixMarket matrix coordinate real general\n2 2 1\n"
                 "1 2 nan\n",
                 "3:5: the value is no finite number");
    path =
        write_file("input", "%%MatrixMarket matrix coordinate pattern general\n"
                            "4000000000 4000000000 1\n1 4000000000\n");
    dir = new_store();
    assert_string_equal(
        fact_of(import(dir, test_format("mtx %s", path)), "vertices"), "2");
}

/* --- round trips ---------------------------------------------------------- */

/* Imports what is exported in a format; the digests agree. */
static void assert_round_trip(const char *jsonl, const char *format,
                              const char *words)
{
    char *first = new_store();
    char *second = new_store();
    bool neo4j = strcmp(format, "neo4j") == 0;
    char *file = test_format("%s/out%s", scratch, neo4j ? "" : ".gz");
    const char *digest;
    struct ran ran;

    ran = import(first,
                 test_format("%s jsonl %s", words, write_file("input", jsonl)));
    digest = fact_of(ran, "digest");
    ran = run(test_format("export %s -d %s -g g %s", format, first, file));
    if (ran.status != 0 || ran.err[0])
        fail_msg("export %s: exit %d: %s", format, ran.status, ran.err);
    ran = import(second, neo4j ? test_format("%s neo4j %s/nodes.csv "
                                             "%s/relationships.csv",
                                             words, file, file)
                               : test_format("%s %s %s", words, format, file));
    if (strcmp(fact_of(ran, "digest"), digest) != 0)
        fail_msg("%s: %s", format, exported(second, "jsonl"));
    assert_int_equal(run(test_format("replay --verify %s", second)).status, 0);
}

static const char everything[] =
    "{\"type\":\"graph\",\"directed\":true,\"weight\":{\"key\":\"w\"}}\n"
    "{\"type\":\"vertex\",\"id\":{\"$tuple\":[{\"$atom\":\"u\"},1.5]},"
    "\"labels\":[{\"$atom\":\"p\"},\"q\",3],\"value\":{\"$map\":[[1,2]]}}\n"
    "{\"type\":\"vertex\",\"id\":\"\",\"value\":[]}\n"
    "{\"type\":\"vertex\",\"id\":[1,2,{\"$base64\":\"/w==\"}],\"atoms\":"
    "\"latin1\",\"value\":[true,{\"$atom\":\"\xc3\xa9\"}]}\n"
    "{\"type\":\"vertex\",\"id\":{\"$etf\":\"g00AAAABBYA=\"},\"value\":"
    "{\"$etf\":\"g2QAA25pbA==\"}}\n"
    "{\"type\":\"vertex\",\"id\":-0.0,\"value\":{\"$etf\":\"g2sAAQU=\"}}\n"
    "{\"type\":\"vertex\",\"id\":{\"$integer\":\"-123456789012345678901\"},"
    "\"value\":{\"$etf\":\"g2IAAAAB\"}}\n"
    "{\"type\":\"edge\",\"from\":1,\"to\":\"\",\"label\":{\"$atom\":\"null\"},"
    "\"value\":{\"w\":3,\"a\":\"\\u0000\"}}\n"
    "{\"type\":\"edge\",\"from\":1,\"to\":\"\",\"value\":{\"w\":1e-300}}\n"
    "{\"type\":\"edge\",\"from\":1,\"to\":1,\"label\":[1,2,3]}\n"
    "{\"type\":\"edge\",\"from\":{\"$tuple\":[{\"$atom\":\"u\"},1.5]},\"to\":"
    "{\"$atom\":\"v\"}}\n"
    "{\"type\":\"edge\",\"from\":{\"$etf\":\"g00AAAABBYA=\"},\"to\":{\"id\":7,"
    "\"labels\":[]}}\n"
    "{\"type\":\"edge\",\"from\":{},\"to\":{\"$base64\":\"/w==\"}}\n";

/* What files with columns can carry. */
static const char columns[] =
    "{\"type\":\"vertex\",\"id\":1,\"labels\":[\"person\",\"admin\"],"
    "\"value\":{\"age\":36,\"name\":\"Ann, \\\"the\\\" <b>\\r\\nx\"}}\n"
    "{\"type\":\"vertex\",\"id\":\"two words\",\"value\":{\"age\":-5,\"tall\":"
    "true}}\n"
    "{\"type\":\"vertex\",\"id\":3,\"value\":{\"age\":\"old\",\"list\":[1,2]}}"
    "\n{\"type\":\"vertex\",\"id\":4,\"value\":0.1}\n"
    "{\"type\":\"vertex\",\"id\":5,\"value\":{\"$map\":[[1,2]]}}\n"
    "{\"type\":\"vertex\",\"id\":6,\"value\":\"text\"}\n"
    "{\"type\":\"vertex\",\"id\":7,\"value\":{\"name\":\"\"}}\n"
    "{\"type\":\"vertex\",\"id\":8,\"value\":{\"b\":1,\"a\":2}}\n"
    "{\"type\":\"vertex\",\"id\":9}\n"
    "{\"type\":\"vertex\",\"id\":10,\"value\":\"a\\u0001b\"}\n"
    "{\"type\":\"edge\",\"from\":1,\"to\":3,\"label\":\"knows\",\"value\":1}\n"
    "{\"type\":\"edge\",\"from\":3,\"to\":1,\"value\":2}\n"
    "{\"type\":\"edge\",\"from\":1,\"to\":\"two words\",\"label\":\"is a\","
    "\"value\":7}\n"
    "{\"type\":\"edge\",\"from\":1,\"to\":3}\n";

static const char list[] =
    "{\"type\":\"edge\",\"from\":1,\"to\":2,\"label\":\"a\\tb\",\"value\":1}\n"
    "{\"type\":\"edge\",\"from\":\"x\\ny\",\"to\":-7,\"value\":0.5}\n"
    "{\"type\":\"edge\",\"from\":\"#\",\"to\":2,\"value\":\"12\"}\n"
    "{\"type\":\"edge\",\"from\":2,\"to\":1,\"value\":\"t\"}\n";

static const char matrix[] =
    "{\"type\":\"graph\",\"directed\":%s,\"weight\":\"none\"}\n"
    "{\"type\":\"vertex\",\"id\":1}\n{\"type\":\"vertex\",\"id\":2}\n"
    "{\"type\":\"vertex\",\"id\":3}\n{\"type\":\"vertex\",\"id\":4}\n"
    "{\"type\":\"edge\",\"from\":4,\"to\":2,\"value\":0.5}\n"
    "{\"type\":\"edge\",\"from\":2,\"to\":2,\"value\":-1.0}\n";

static void what_goes_out_comes_in_again(void **state)
{
    (void)state;
    assert_round_trip(everything, "jsonl", "--words strings");
    assert_round_trip(columns, "jsonl", "--words strings");
    assert_round_trip(columns, "neo4j", "--words strings");
    assert_round_trip(columns, "neo4j", "--words atoms");
    assert_round_trip(columns, "graphml", "--words strings");
    assert_round_trip(columns, "graphml", "--words atoms");
    assert_round_trip(list, "edges", "--words strings");
    assert_round_trip(test_format(matrix, "true"), "mtx", "--words strings");
    assert_round_trip(test_format(matrix, "false"), "mtx", "--words strings");
    assert_round_trip(test_format(matrix, "false"), "graphml",
                      "--words strings");
    assert_round_trip(test_format(matrix, "false"), "jsonl", "--words strings");
}

static void losses_are_counted(void **state)
{
    char *dir = new_store();
    struct ran ran;

    (void)state;
    import(dir, test_format("jsonl %s", write_file("input", everything)));
    ran = run(test_format("export edges -d %s -g g", dir));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.err, "elements hold what edges has no form for");
    ran = run(test_format("export mtx -d %s -g g", dir));
    assert_contains(ran.err, "elements are left out");
    ran = run(test_format("export -q dot --limit 1 -d %s -g g", dir));
    assert_string_equal(ran.err, "");
    assert_contains(ran.out, "digraph {\n  \"{u,1.5}\" [class=\"p\", tooltip=");
}

/* --- what a format has no form for ---------------------------------------- */

/* Exports what the lines are to a file; the facts. */
static struct ran facts_of_export(const char *jsonl, const char *format,
                                  const char **ret_file)
{
    char *dir = new_store();
    struct ran ran =
        import(dir, test_format("jsonl %s", write_file("input", jsonl)));

    *ret_file = test_format("%s/%s-out", scratch, format);
    if (ran.status != 0)
        fail_msg("import: exit %d: %s", ran.status, ran.err);
    return run(
        test_format("export --json %s -d %s -g g %s", format, dir, *ret_file));
}

static void assert_inexact(const char *jsonl, const char *format,
                           const char *count)
{
    const char *file;
    struct ran ran = facts_of_export(jsonl, format, &file);

    if (strcmp(fact_of(ran, "inexact"), count) != 0)
        fail_msg("%s of %s: %s", format, jsonl, ran.out);
}

static void what_comes_back_otherwise_is_counted(void **state)
{
    static const char *const formats[] = {"edges", "graphml", "neo4j"};
    static const char *const ids[] = {
        "{\"$atom\":\"a\"}",
        "{\"$atom\":\"\"}",
        "1.5",
        "{\"$tuple\":[1]}",
        "[1,2]",
        "{\"k\":1}",
        "\"12\"",
        "\"-7\"",
        "\"a\\u0000\"",
        "true",
        "{\"$base64\":\"/w==\"}",
        "{\"$etf\":\"g00AAAABBYA=\"}",
        "\"99999999999999999999\"",
    };

    (void)state;
    /* One element each, however often it is told. */
    for (unsigned i = 0; i < 3; i++) {
        for (size_t j = 0; j < sizeof(ids) / sizeof(ids[0]); j++) {
            bool edges = i == 0;

            assert_inexact(
                test_format(edges
                                ? "{\"type\":\"edge\",\"from\":%s,\"to\":%s}\n"
                                : "{\"type\":\"vertex\",\"id\":%s}\n",
                            ids[j], ids[j]),
                formats[i], "1");
        }
        assert_inexact(E("\"\"", "\"1.5\"") E("-7", "\"007\""), formats[i],
                       "0");
    }
    assert_inexact("{\"type\":\"edge\",\"from\":1,\"to\":2,\"label\":7}\n",
                   "edges", "1");
    assert_inexact("{\"type\":\"edge\",\"from\":1,\"to\":2,\"value\":"
                   "{\"$etf\":\"g00AAAABBYA=\"}}\n",
                   "edges", "1");
    assert_inexact("{\"type\":\"vertex\",\"id\":1,\"labels\":[\"a\"]}\n",
                   "edges", "1");
    assert_inexact("{\"type\":\"vertex\",\"id\":1,\"labels\":[\"a;b\"]}\n",
                   "neo4j", "1");
    assert_inexact("{\"type\":\"vertex\",\"id\":1,\"labels\":[\"\"]}\n",
                   "neo4j", "1");
    assert_inexact("{\"type\":\"vertex\",\"id\":1,\"labels\":[1]}\n", "graphml",
                   "1");
    assert_inexact("{\"type\":\"edge\",\"from\":1,\"to\":2,\"label\":\"\"}\n",
                   "neo4j", "1");
}

/* Colons in labels, labels and vertices of no text, and a direction. */
static const char awkward[] =
    "{\"type\":\"graph\",\"directed\":false,\"weight\":\"none\"}\n"
    "{\"type\":\"vertex\",\"id\":\"\",\"labels\":[%s\"p\"],\"value\":1}\n"
    "{\"type\":\"edge\",\"from\":\"\",\"to\":2,\"label\":\"%s\",\"value\":1}\n"
    "{\"type\":\"edge\",\"from\":3,\"to\":\"\"}\n";

static void awkward_graphs_come_in_again(void **state)
{
    const char *list_of_edges = E("\"\"", "2") E("2", "\"\"");

    (void)state;
    assert_round_trip(
        test_format(awkward, "\"a:b\",\"\",\"c\\\\\",\"\\\\:\",", ""),
        "graphml", "--words strings");
    assert_round_trip(test_format(awkward, "\"a:b\",\"c\\\\\",", "k;l:m"),
                      "neo4j", "--words strings");
    assert_round_trip(list_of_edges, "edges", "--words strings");
    /* In files of others a colon and a backslash are nothing but that. */
    assert_reads("graphml",
                 GRAPHML("<key id='l' for='node' attr.name='labels' "
                         "attr.type='string'/><graph><node id='1'>"
                         "<data key='l'>:a\\:b</data></node></graph>"),
                 "{\"type\":\"vertex\",\"id\":1,\"labels\":[\"a\\\\\",\"b\"]}"
                 "\n");
    assert_wrong("graphml", GRAPHML("<graph>\n<node id=''/></graph>"),
                 "4:1: the vertex is empty");
    assert_wrong("neo4j", ":ID\n\"\"\n1,\n", "3:1: 2 fields");
    assert_wrong("neo4j", ":ID,a\n,1\n", "2:1: the vertex is empty");
    assert_wrong("edges --ids integer", "1,\"\"\n", "1:3: `` is no integer");
}

static void an_undirected_list_of_edges_is_told(void **state)
{
    char *dir = new_store();
    char *path = write_file("input", "1 2\n");
    struct ran ran;

    (void)state;
    import(dir, test_format("--direction undirected edges %s", path));
    ran = run(test_format("export edges -d %s -g g", dir));
    assert_contains(ran.err, "import it with --direction undirected");
}

static void labels_of_any_term_are_lines_of_json(void **state)
{
    const char *ref = "{\"$etf\":\"g00AAAABBYA=\"}";
    const char *lines;

    (void)state;
    /* An improper list has no JSON of its own. */
    lines = test_format("{\"type\":\"vertex\",\"id\":1,\"labels\":[%s,"
                        "{\"$etf\":\"g2wAAAABYQFhAg==\"},[1,2],\"q\"]}\n",
                        ref);
    assert_round_trip(lines, "jsonl", "--words strings");
    /* The list [<<16:5>>, 7] and the string [1, 2] as a whole. */
    assert_reads("jsonl",
                 "{\"type\":\"vertex\",\"id\":1,\"labels\":{\"$etf\":"
                 "\"g2wAAAACTQAAAAEFgGEHag==\"}}\n",
                 test_format("{\"type\":\"vertex\",\"id\":1,\"labels\":[%s,7]}"
                             "\n",
                             ref));
    assert_reads("jsonl",
                 "{\"type\":\"vertex\",\"id\":1,\"labels\":{\"$etf\":"
                 "\"g2sAAgEC\"}}\n",
                 "{\"type\":\"vertex\",\"id\":1,\"labels\":[1,2]}\n");
    assert_wrong("jsonl",
                 "{\"type\":\"vertex\",\"id\":1,\"labels\":{\"$etf\":"
                 "\"g2EH\"}}\n",
                 "1:49: labels are an array");
    assert_wrong("jsonl",
                 "{\"type\":\"vertex\",\"id\":1,\"labels\":{\"$etf\":"
                 "\"g2wAAAABYQFhAg==\"}}\n",
                 "1:61: labels are an array");
}

static void contractions_are_told(void **state)
{
    char *dir = in_scratch("contracted");
    struct disk_store disk;
    struct ran ran;

    (void)state;
    disk_open(&disk, dir);
    disk_do(&disk, "{create_table, g, graph, #{}}");
    disk_do(&disk, "{put_edges, g, [{1,2},{2,3},{3,4},{4,5}]}");
    disk_do(&disk, "{contract, g, s, [1,2], #{}}");
    disk_do(&disk, "{contract, g, t, [3,4], #{}}");
    disk_close(&disk, true);
    ran = run(
        test_format("export --json jsonl -d %s -g g %s/some", dir, scratch));
    assert_string_equal(fact_of(ran, "left_out"), "2");
    assert_contains(ran.err, "2 vertices stand for others; what they stand for "
                             "is not exported");
    assert_null(strstr(ran.err, "left out"));
}

static void vertices_are_not_merged(void **state)
{
    const char *lines = V("{\"$atom\":\"a\"}") V("\"a\"") V("1") V("\"1\"")
        V("\"\"") V("\"a\\tb\"") V("\"a b\"") V("{\"$atom\":\"A b\"}")
            V("{\"$etf\":\"g3F3BWxpc3RzdwNtYXBhAg==\"}")
                E("{\"$atom\":\"a\"}", "\"a\"") E("1", "\"1\"");
    char *dir = new_store();
    char *path = write_file("input", lines);

    (void)state;
    import(dir, test_format("jsonl %s", path));
    assert_string_equal(exported(dir, "dot"),
                        "digraph {\n"
                        "  \":a\" [label=\"a\"];\n"
                        "  \"a\";\n"
                        "  \"1\";\n"
                        "  \"<<\\\"1\\\">>\" [label=\"1\"];\n"
                        "  \"<<>>\" [label=\"\"];\n"
                        "  \"<<\\\"a\\\\tb\\\">>\" [label=\"a b\"];\n"
                        "  \"a b\";\n"
                        "  \":'A b'\" [label=\"A b\"];\n"
                        "  \"{\\\"$etf\\\":\\\"g3F3BWxpc3RzdwNtYXBhAg==\\\"}\" "
                        "[label=\"fun lists:map/2\"];\n"
                        "  \":a\" -> \"a\";\n"
                        "  \"1\" -> \"<<\\\"1\\\">>\";\n"
                        "}\n");
    /* In a matrix no vertex but 1 has a place. */
    assert_string_equal(exported(dir, "mtx"),
                        "%%MatrixMarket matrix coordinate pattern general\n"
                        "1 1 0\n");
}

#define BIG "{\"$integer\":\"-123456789012345678901\"}"

static void great_numbers_are_in_a_matrix(void **state)
{
    const char *lines = "{\"type\":\"edge\",\"from\":1,\"to\":2,\"value\":" BIG
                        "}\n{\"type\":\"edge\",\"from\":2,\"to\":1,\"value\":"
                        "{\"$integer\":\"9223372036854775807\"}}\n";
    const char *file;
    struct ran ran = facts_of_export(lines, "mtx", &file);
    char *dir = new_store();

    (void)state;
    assert_string_equal(fact_of(ran, "inexact"), "2");
    ran = import(dir, test_format("mtx %s", file));
    assert_string_equal(fact_of(ran, "edges"), "2");
    assert_contains(exported(dir, "jsonl"),
                    "\"value\":-1.2345678901234568e+20}");
    assert_round_trip("{\"type\":\"edge\",\"from\":1,\"to\":2,\"value\":"
                      "{\"$integer\":\"9223372036854775807\"}}\n",
                      "mtx", "--words strings");
}

/* --- stores --------------------------------------------------------------- */

/* Into a graph that is there, beside other tables, behind a log. */
static void an_import_adds_to_a_store(void **state)
{
    char *dir = in_scratch("old");
    char *one = write_file("one", "1 2\n2 3\n");
    char *two = write_file("two", "2 3\n3 4\n3 4\n");
    char *fresh = new_store();
    const char *digest;
    struct ran ran;

    (void)state;
    make_store(dir, false);
    ran = import(dir, test_format("edges %s", one));
    assert_string_equal(fact_of(ran, "new"), "true");
    assert_string_equal(fact_of(ran, "seq"), "7");
    ran = import(dir, test_format("edges %s", two));
    assert_string_equal(fact_of(ran, "new"), "false");
    assert_string_equal(fact_of(ran, "edges"), "2");
    assert_string_equal(fact_of(ran, "new_edges"), "1");
    assert_string_equal(fact_of(ran, "new_vertices"), "1");
    assert_string_equal(fact_of(ran, "duplicates"), "1");
    digest = fact_of(ran, "digest");
    ran = import(fresh, test_format("edges %s %s", one, two));
    assert_string_equal(fact_of(ran, "digest"), digest);
    assert_int_equal(run(test_format("check %s", dir)).status, 0);
    ran = run(test_format("dump -t people %s", dir));
    assert_contains(ran.out, "{people, {ann, 36}}.");
    assert_fails(test_format("import edges %s -d %s -g people", one, dir), 64,
                 "is no graph");
    assert_fails(
        test_format("import mtx %s -d %s -g people",
                    write_file("m.mtx", "%%MatrixMarket matrix coordinate "
                                        "pattern general\n2 2 1\n1 2\n"),
                    dir),
        64, "is no graph");
    assert_fails(test_format("export jsonl -d %s -g h", dir), 64,
                 "there is no graph `h`");
}

/* Killed wherever it may be, it has done all or nothing. */
static void a_kill_leaves_the_old_or_the_new(void **state)
{
    char *dir = new_store();
    char *old = write_file("old.txt", "1 2\n");
    char *path = in_scratch("new.txt");
    FILE *file = fopen(path, "w");
    struct random random;
    const char *done;

    (void)state;
    random_init(&random, random_seed());
    assert_non_null(file);
    for (unsigned i = 0; i < 3000; i++)
        fprintf(file, "%u %u\n", i, i + 1);
    fclose(file);
    import(dir, test_format("edges %s", old));
    for (unsigned i = 0; i < 25; i++) {
        FILE *out = tmpfile();
        FILE *err = tmpfile();
        pid_t pid =
            start_program(test_format("import edges -d %s -g h %s", dir, path),
                          OUT_FILE, out, err);

        usleep((useconds_t)random_below(&random, 60000));
        kill(pid, SIGKILL);
        wait_program(pid);
        fclose(out);
        fclose(err);
        assert_int_equal(run(test_format("check %s", dir)).status, 0);
        assert_contains(exported(dir, "jsonl"), E("1", "2"));
        done = run(test_format("export edges -d %s -g h", dir)).out;
        if (*done)
            assert_int_equal(count_lines(done), 3001);
    }
}

static void weights_are_a_rule(void **state)
{
    char *dir = new_store();
    char *path = write_file("input", "1 2 0.5\n1 3 x\n");

    (void)state;
    assert_fails(test_format("import edges -w value -d %s -g g %s", dir, path),
                 65, "input:2:1: the value gives no weight");
    assert_string_equal(
        fact_of(import(dir, test_format("-e 1 -w value edges %s", path)),
                "edges"),
        "1");
    assert_contains(exported(dir, "jsonl"), "\"weight\":\"value\"");
}

static void memory_has_a_bound(void **state)
{
    char *dir = new_store();
    char *path = in_scratch("many");
    FILE *file = fopen(path, "w");

    (void)state;
    assert_non_null(file);
    for (unsigned i = 0; i < 200000; i++)
        fprintf(file, "%u %u\n", i, i + 1);
    fclose(file);
    assert_fails(test_format("import edges --memory-limit 2000000 -d %s -g g "
                             "%s",
                             dir, path),
                 71,
                 "the memory limit is reached; --memory-limit is 2000000 "
                 "bytes");
    assert_int_equal(access(dir, F_OK), -1);
    for (unsigned limit = 1; limit < 100000; limit = limit * 5 + 999)
        assert_fails(test_format("import edges --memory-limit %u -d %s -g g %s",
                                 limit, dir, path),
                     71, test_format("--memory-limit is %u bytes", limit));
    assert_int_equal(access(dir, F_OK), -1);
    assert_string_equal(
        fact_of(import(dir, test_format("edges %s", path)), "edges"), "200000");
}

/* A graph is one table to who looks at the store. */
static void dump_and_replay_show_a_graph(void **state)
{
    char *dir = new_store();
    struct ran ran;

    (void)state;
    fact_of(import(dir, test_format("edges %s", write_file("shown", "1 2\n"))),
            "edges");
    ran = run(test_format("dump %s", dir));
    assert_int_equal(ran.status, 0);
    assert_non_null(strstr(ran.out, "\n{g, {vertex,1,nil,[]}}.\n"
                                    "{g, {vertex,2,nil,[]}}.\n"
                                    "{g, {edge,1,2,nil,nil}}.\n"));
    assert_null(strstr(ran.out, "$graph"));
    ran = run(test_format("dump --table g -F csv %s", dir));
    assert_string_equal(ran.out, "element\n\"{vertex,1,nil,[]}\"\n"
                                 "\"{vertex,2,nil,[]}\"\n"
                                 "\"{edge,1,2,nil,nil}\"\n");
    ran = run(test_format("dump --json %s", dir));
    assert_non_null(strstr(ran.out, "\"key\":[\"edge\",1,2,"));
    ran = run(test_format("replay --verify --json %s", dir));
    assert_int_equal(ran.status, 0);
    assert_non_null(strstr(ran.out, "\"graph\""));
    assert_null(strstr(ran.out, "$graph"));
}

static void usage(void **state)
{
    char *path = write_file("input", "1 2\n");

    (void)state;
    assert_fails("import xml x -d d -g g", 64, "`xml` is no format");
    assert_fails("import dot x -d d -g g", 64, "`dot` is no format");
    assert_fails("import edges -d d -g g", 64, "FILE is missing");
    assert_fails("import edges x -g g", 64, "--dir DIR or --to-terms");
    assert_fails("import edges x -d d", 64, "--graph NAME is missing");
    assert_fails("import edges x -d d -g {a", 64, "--graph takes an Erlang");
    assert_fails("import edges x -d d -g g -w heavy", 64, "--weight takes");
    assert_fails(test_format("import edges %s -d %s -g g", in_scratch("none"),
                             new_store()),
                 74, "there is no such file");
    assert_fails(test_format("import edges --delimiter :: %s -d %s -g g", path,
                             new_store()),
                 65, "--delimiter is tab");
    assert_fails("export neo4j -d d -g g", 74, "d: there is no such");
    assert_fails("export xml -d d -g g", 64, "`xml` is no format");
    assert_fails("export jsonl -g g", 64, "--dir DIR or --from-terms");
}

/* --- frames --------------------------------------------------------------- */

static void put_shell(const char *command)
{
    int status = system(command);

    if (status != 0)
        fail_msg("%s: %d", command, status);
}

/* The terms of frames as text, one a line. */
static const char *frames_text(const char *data, size_t size)
{
    static struct buffer text;
    size_t at = 0;

    text.mem = test_mem();
    text.size = 0;
    while (at < size) {
        size_t frame = load_be32((const uint8_t *)data + at);

        assert_true(size - at - 4 >= frame);
        assert_int_equal((uint8_t)data[at + 4], 131);
        assert_int_equal(term_print(&text, (const uint8_t *)data + at + 5),
                         frame - 1);
        test_append_text(&text, "\n");
        at += 4 + frame;
    }
    test_append(&text, "", 1);
    return (const char *)text.data;
}

static void a_client_gets_frames(void **state)
{
    char *path = write_file("input", "1 2\nx\n2 a k\n");
    struct ran ran = run(test_format(
        "import edges --columns from,to,label -e 1 --batch 1 --to-terms -g "
        "{g,1} %s",
        path));

    (void)state;
    assert_int_equal(ran.status, 0);
    assert_string_equal(
        frames_text(ran.out, ran.out_size),
        test_format("{graph,{g,1},#{directed=>true}}\n"
                    "{put_edges,{g,1},[{1,2}]}\n"
                    "{wrong,#{column=>1,file=><<\"%s\">>,line=>2,text=>"
                    "<<\"1 fields; from and to are needed\">>}}\n"
                    "{put_edges,{g,1},[{2,<<\"a\">>,<<\"k\">>}]}\n"
                    "{imported,#{bytes=>12,edges=>2,errors=>1,"
                    "vertices=>0}}\n",
                    path));
}

static void a_client_sends_frames(void **state)
{
    struct buffer frames = BUFFER(test_mem());
    char *path = in_scratch("frames");
    const char *program = getenv("RHIZOME_EXECUTABLE");
    char *out = in_scratch("out.jsonl");
    struct buffer text = BUFFER(test_mem());

    (void)state;
    frame_parse(&frames, "{graph, g, #{directed => false, "
                         "weight => {key, km}}}");
    frame_parse(&frames, "[{vertex, 1, nil, [a]}, {edge, 1, 2, nil, nil}]");
    file_write(path, buffer_bytes(&frames));
    put_shell(test_format("cat %s | %s export mtx --from-terms > %s", path,
                          program, out));
    file_read(out, &text);
    test_append(&text, "", 1);
    assert_string_equal((char *)text.data,
                        "%%MatrixMarket matrix coordinate pattern symmetric\n"
                        "2 2 1\n2 1\n");
    put_shell(test_format("%s export jsonl --from-terms %s < %s > /dev/null",
                          program, out, path));
    text.size = 0;
    file_read(out, &text);
    assert_true(text.size > 60);
    test_append(&text, "", 1);
    assert_non_null(
        strstr((char *)text.data, "\"directed\":false,\"weight\":{\"key\":"));
    /* Cut anywhere, it is no frame, and no file appears. */
    for (size_t cut = 1; cut < frames.size; cut++) {
        int status;

        file_write(path, bytes_of(frames.data, cut));
        status = system(test_format(
            "%s export graphml --from-terms %s/cut < %s > /dev/null "
            "2>%s/err",
            program, scratch, path, scratch));
        status = WEXITSTATUS(status);
        if (cut == load_be32(frames.data) + 4)
            assert_int_equal(status, 0);
        else
            assert_int_equal(status, 65);
    }
    buffer_free(&frames);
    buffer_free(&text);
}

/* term_to_binary([1,2]) is a string. */
static void a_client_sends_labels_as_a_string(void **state)
{
    static const char frame[] = "\0\0\0\x25\x83\x6c\0\0\0\1\x68\4\x77\6vertex"
                                "\x61\1\x77\3nil\x6b\0\2\1\2\x6a";
    struct bytes bytes = bytes_of(frame, sizeof(frame) - 1);
    const char *program = getenv("RHIZOME_EXECUTABLE");
    char *path = in_scratch("string");
    struct buffer text = BUFFER(test_mem());
    struct buffer fixed = BUFFER(test_mem());

    (void)state;
    test_append(&fixed, bytes.data, bytes.size);
    store_be32(fixed.data, (uint32_t)bytes.size - 4);
    file_write(path, buffer_bytes(&fixed));
    put_shell(test_format("%s export jsonl --from-terms < %s > %s.out", program,
                          path, path));
    file_read(test_format("%s.out", path), &text);
    test_append(&text, "", 1);
    assert_contains((char *)text.data, "\"id\":1,\"labels\":[1,2]}");
    put_shell(test_format("%s export graphml --from-terms < %s 2>&1 > %s.out",
                          program, path, path));
    file_read(test_format("%s.out", path), &text);
    test_append(&text, "", 1);
    assert_contains((char *)text.data, "<data key=\"labels\">:1:2</data>");
    buffer_free(&text);
    buffer_free(&fixed);
}

static void a_client_has_a_rule_for_weights(void **state)
{
    char *path = write_file("input", "1 2 5\n1 3 x\n1 4\n1 5 y\n");
    char *keys = write_file("keys", ":START_ID,:END_ID,w:int,v:string\n"
                                    "1,2,7,a\n1,3,,b\n1,4,,\n");
    struct ran ran = run(test_format(
        "import edges --weight value -e 2 --to-terms -g g %s", path));

    (void)state;
    assert_int_equal(ran.status, 0);
    assert_contains(ran.err, "input:2:1: the value gives no weight");
    assert_contains(ran.err, "input:4:1: the value gives no weight");
    assert_contains(frames_text(ran.out, ran.out_size),
                    "{wrong,#{column=>1,file=>");
    assert_contains(frames_text(ran.out, ran.out_size),
                    "{put_edges,g,[{1,2,nil,5},{1,4}]}\n"
                    "{imported,#{bytes=>22,edges=>2,errors=>2,vertices=>0}}");
    ran = run(test_format("import edges -w value --to-terms -g g %s", path));
    assert_int_equal(ran.status, 65);
    ran = run(test_format("import edges -w none --to-terms -g g %s", path));
    assert_int_equal(ran.status, 0);
    ran = run(test_format("import neo4j -w key:<<119>> -e 1 --to-terms -g g %s",
                          keys));
    assert_int_equal(ran.status, 0);
    assert_contains(ran.err, "keys:3:1: the value gives no weight");
    assert_int_equal(count_lines(ran.err), 1);
}

/* --- gzip ----------------------------------------------------------------- */

static char *write_gzip(const char *name, const char *text, unsigned members)
{
    char *path = in_scratch(name);

    remove(path);
    for (unsigned i = 0; i < members; i++) {
        gzFile file = gzopen(path, "ab");

        assert_non_null(file);
        assert_true(gzwrite(file, text, (unsigned)strlen(text)) > 0);
        assert_int_equal(gzclose(file), Z_OK);
    }
    return path;
}

static void what_is_compressed_is_read(void **state)
{
    char *path = write_gzip("input.gz", "1 2\n2 3\n", 3);
    struct buffer bytes = BUFFER(test_mem());
    off_t size = file_size(path);
    char *dir = new_store();

    (void)state;
    assert_string_equal(
        fact_of(import(dir, test_format("edges %s", path)), "duplicates"), "4");
    file_read(path, &bytes);
    /* An end between members is one, and no other. */
    for (off_t cut = 0; cut < size; cut++) {
        char *cut_path = test_format("%s/cut.gz", scratch);
        struct ran ran;

        file_write(cut_path, bytes_of(bytes.data, (size_t)cut));
        ran = import(dir, test_format("edges %s", cut_path));
        if (cut == 0 || cut % (size / 3) == 0)
            assert_int_equal(ran.status, 0);
        else if (ran.status != 65)
            fail_msg("cut at %d: exit %d: %s", (int)cut, ran.status, ran.err);
        else if (cut > 1)
            assert_contains(ran.err, "what is compressed is cut off");
    }
    file_flip(path, size / 2);
    assert_int_equal(import(dir, test_format("edges %s", path)).status, 65);
    buffer_free(&bytes);
}

static void a_long_line_is_no_memory(void **state)
{
    char *path = in_scratch("long");
    FILE *file = fopen(path, "w");
    char *block = malloc(1 << 20);

    (void)state;
    assert_non_null(file);
    assert_non_null(block);
    memset(block, '1', 1 << 20);
    fputs("1 2\n", file);
    for (unsigned i = 0; i < 70; i++)
        assert_int_equal(fwrite(block, 1, 1 << 20, file), 1 << 20);
    fclose(file);
    assert_fails(test_format("import edges %s -d %s -g g", path, new_store()),
                 65, "long:2:1: the line is longer than 64 MiB");
    free(block);
    remove(path);
}

/* --- files that are cut or bent ------------------------------------------- */

static void assert_survives(const char *format, struct bytes bytes,
                            const char *words)
{
    char *path = test_format("%s/bent", scratch);
    struct ran ran;

    file_write(path, bytes);
    ran = run(test_format("import %s %s -e 3 --to-terms -g g %s", format, words,
                          path));
    if (ran.status != 0 && ran.status != 65) {
        file_write(test_format("/tmp/rhizome-import-%s", format), bytes);
        fail_msg("%s: exit %d: %s (kept as /tmp/rhizome-import-%s)", format,
                 ran.status, ran.err, format);
    }
    if (ran.status == 65) {
        assert_int_equal(strncmp(ran.err, "rhizome: ", 9), 0);
        assert_contains(ran.err, "bent:");
    }
    /* Whatever came out, it is frames of terms. */
    for (size_t at = 0; at < ran.out_size;) {
        size_t size = load_be32((const uint8_t *)ran.out + at);
        size_t term;

        assert_true(ran.out_size - at - 4 >= size);
        assert_int_equal(
            etf_validate(bytes_of(ran.out + at + 5, size - 1), &term, NULL),
            ST_OK);
        assert_int_equal(term, size - 1);
        at += 4 + size;
    }
}

static void bend(struct random *random, const char *format, const char *words,
                 struct bytes sample)
{
    static const char marks[] = "\"',;:\n\r\t \\{}[]<>&%#-.0919eE\0\xff\xc3$";
    uint8_t bytes[4096];

    assert_true(sample.size <= sizeof(bytes) / 2);
    for (size_t cut = 0; cut < sample.size; cut += 1 + cut / 40)
        assert_survives(format, bytes_of(sample.data, cut), words);
    for (unsigned i = 0; i < 60; i++) {
        size_t size = sample.size;

        memcpy(bytes, sample.data, size);
        for (uint64_t n = random_below(random, 4); n < 4; n++) {
            size_t at = random_below(random, size);
            size_t length = random_below(random, size - at) / 4 + 1;

            switch (random_below(random, 4)) {
            case 0:
                bytes[at] = (uint8_t)random_next(random);
                break;
            case 1:
                bytes[at] =
                    (uint8_t)marks[random_below(random, sizeof(marks) - 1)];
                break;
            case 2: /* a piece goes */
                memmove(bytes + at, bytes + at + length, size - at - length);
                size -= length;
                break;
            default: /* a piece comes twice */
                if (size + length > sizeof(bytes))
                    break;
                memmove(bytes + at + length, bytes + at, size - at);
                size += length;
            }
            if (!size)
                break;
        }
        assert_survives(format, bytes_of(bytes, size), words);
    }
}

static void bent_files_are_survived(void **state)
{
    static const struct {
        const char *format;
        const char *text;
    } samples[] = {
        {"edges", "# c\nfrom,to,label,value\n1,\"2\n3\",k,0.5\nann,b,,7\n"},
        {"edges", "1 2 3\n4 5 6\n-7 99999999999999999999 1e5\n"},
        {"neo4j", "id:ID(P),name,age:int,t:string[],:LABEL,$value:json\n1,"
                  "\"A\"\"n\",36,a;b,P;Q,\n2,,,,,\"{\"\"$tuple\"\":[1]}\"\n"},
        {"neo4j", ":START_ID,:END_ID,:TYPE,w:double,b:boolean\n1,2,K,1.5,true\n"
                  "2,1,L,,\n"},
        {"jsonl", "{\"type\":\"graph\",\"directed\":false,\"weight\":{\"key\":"
                  "\"w\"}}\n{\"type\":\"vertex\",\"id\":{\"$tuple\":[1,-2.5e3,"
                  "{\"$atom\":\"a\"}]},\"labels\":[\"x\"],\"value\":{\"$map\":"
                  "[[1,null]]}}\n{\"type\":\"edge\",\"from\":1,\"to\":\"\\u00e9"
                  "\",\"value\":{\"$etf\":\"g2sAAQU=\"},\"label\":{\"$base64\":"
                  "\"/w==\"}}\n"},
        {"graphml",
         "<graphml><key id='n' for='node' attr.name='name' attr.type='string'>"
         "<default>x</default></key><graph edgedefault='undirected'><node "
         "id='1'><data key='n'>A &amp; B</data></node><edge source='1' "
         "target='2' directed='false'/></graph></graphml>"},
        {"mtx", "%%MatrixMarket matrix coordinate real symmetric\n% c\n3 3 2\n"
                "2 1 0.5\n3 3 1e3\n"},
    };
    struct random random;

    (void)state;
    random_init(&random, random_seed());
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        bend(&random, samples[i].format, i % 2 ? "--words atoms" : "",
             bytes_of(samples[i].text, strlen(samples[i].text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_edges_are_read),
        cmocka_unit_test(wrong_lists_of_edges),
        cmocka_unit_test(errors_have_a_bound),
        cmocka_unit_test(files_of_neo4j_are_read),
        cmocka_unit_test(lines_of_json_are_read),
        cmocka_unit_test(depth_has_a_bound),
        cmocka_unit_test(graphml_is_read),
        cmocka_unit_test(entities_are_refused),
        cmocka_unit_test(matrices_are_read),
        cmocka_unit_test(what_goes_out_comes_in_again),
        cmocka_unit_test(losses_are_counted),
        cmocka_unit_test(what_comes_back_otherwise_is_counted),
        cmocka_unit_test(awkward_graphs_come_in_again),
        cmocka_unit_test(an_undirected_list_of_edges_is_told),
        cmocka_unit_test(labels_of_any_term_are_lines_of_json),
        cmocka_unit_test(contractions_are_told),
        cmocka_unit_test(vertices_are_not_merged),
        cmocka_unit_test(great_numbers_are_in_a_matrix),
        cmocka_unit_test(an_import_adds_to_a_store),
        cmocka_unit_test(a_kill_leaves_the_old_or_the_new),
        cmocka_unit_test(weights_are_a_rule),
        cmocka_unit_test(memory_has_a_bound),
        cmocka_unit_test(dump_and_replay_show_a_graph),
        cmocka_unit_test(usage),
        cmocka_unit_test(a_client_gets_frames),
        cmocka_unit_test(a_client_sends_frames),
        cmocka_unit_test(a_client_sends_labels_as_a_string),
        cmocka_unit_test(a_client_has_a_rule_for_weights),
        cmocka_unit_test(what_is_compressed_is_read),
        cmocka_unit_test(a_long_line_is_no_memory),
        cmocka_unit_test(bent_files_are_survived),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
