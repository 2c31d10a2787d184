/*
 * session.c -- one client, one loop, and a bound on everything between them.
 *
 *     stdin --frames--> commands --writer--> queue of libuv --> stdout
 *       ^                  |                        |
 *       +--- stop reading -+---- above HIGH --------+
 *
 * session_pump() is the one place where work is done: it takes frames that
 * have arrived and carries out their requests until one of these holds, and
 * then says what to wait for.
 *
 *     no whole frame is left     read on; at the end of stdin, end
 *     HIGH bytes wait to leave   stop reading; a write that completes below
 *                                LOW calls the pump again, and so does a
 *                                sync that sets replies free, or a read that
 *                                is done, for those that wait count, too
 *     a turn's budget is spent   let the loop look at signals, then go on
 *
 * So memory is bounded whatever a client does: one frame of requests (which
 * is not read further than --frame-bytes-max), HIGH bytes of replies and of
 * records for the log, and the one that passed it. The pump may stop between
 * two requests of a frame and does not read meanwhile, for a read may move the
 * frame.
 *
 * Replies leave at the end of a pump, all in one frame: what came together is
 * answered together. Frames are split about every SPLIT bytes. While the
 * client is slow to read, replies gather in the writer instead of queueing as
 * many small frames, each with the cost of a frame.
 *
 * Reads that may be long are done by workers (readings.h). Their answers come
 * into the writer when they end, and none begins while HIGH bytes wait, so they
 * add an answer for each thread to that bound and no more.
 *
 * A durable store adds three things. The log is written before replies leave,
 * replies that wait for the disk stay in the hold of commands.c (syncer.h says
 * when a sync comes), and a frame ends with the seq that it acknowledges.
 *
 * The end. End of stdin and SIGTERM carry out what has been read completely
 * and write the replies; a broken frame writes the replies before it. Jobs are
 * waited for and the log is closed in order, also when the client has gone
 * (EPIPE), which is an end like any other; reads that run are cancelled then,
 * and those who wait for them are looked for, since nothing is written that
 * would fail. Only when the log itself fails the process ends on the spot: no
 * reply may leave that it does not back. After
 * SIGTERM a client that reads nothing for GRACE_MS is given up; one that reads,
 * however slowly, gets all its replies, but reads that take longer than that
 * are cancelled. A clock that ticks looks whether bytes have left, for libuv
 * tells of a write only when it is complete.
 *
 * The session is static and never torn down: the process ends right after,
 * and freeing a large store node by node would only delay that. Under a leak
 * checker the store is freed all the same, for it does not see pointers that
 * lie unaligned in a page.
 *
 * stdin may be a regular file, or /dev/null: those are read by the loop in
 * its idle moments, for they are always ready and epoll refuses them.
 */
#include "port/session.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <uv.h>

#include "core/exit.h"
#include "port/awake.h"
#include "port/call.h"
#include "port/events.h"
#include "port/frame.h"
#include "port/opening.h"
#include "port/process.h"
#include "port/seal.h"
#include "port/settler.h"
#include "port/syncer.h"
#include "port/worker.h"

/* Replies that wait to be written, in bytes. */
#define QUEUE_HIGH (4u << 20)
#define QUEUE_LOW (1u << 20)

/* A frame of replies is sent when it is this long. */
#define SPLIT_BYTES (1u << 20)

/* What is carried out before the loop gets its turn: so many requests, or
 * what this time is enough for. The clock is read at each STRIDE-th one. */
#define REQUESTS_PER_TURN 4096
#define TURN_NS 20000000
#define CLOCK_STRIDE 8

/*
 * What pipes are enlarged to, where the system lets us. That of stdin at once:
 * what a client has in flight then fits into the pipe, and a client that ends
 * has nothing left to write (a BEAM that halts waits for its ports). That of
 * stdout when it was full for the first time: enlarged pipes count against a
 * user's limit, and most stores never need it.
 */
#define PIPE_BYTES (1 << 20)

/* In ticks, not by the clock: while one long request runs, none passes. */
#define GRACE_MS 3000
#define GRACE_TICK_MS 250

/* Threads of their own: for a sync, a checkpoint and history at a time; and
 * for reads, fewer than most machines have processors. Two algorithms run at a
 * time, while the projection that a third one needs is made; each may start
 * more threads for the time of its work. */
#define FILE_THREADS 3
#define READ_THREADS 3
#define RUN_THREADS 3
#define RUNS_AT_A_TIME 2

/*
 * Threads that read have a tenth of the weight of others. Where they share a
 * processor with the loop, the loop is then let in at once when something
 * arrives, and does not wait for the end of their slice; on a machine that has
 * nothing to spare, a tenth is what they still get.
 */
#define READ_NICE 10

/* Algorithms have a third of the weight of reads, and so have the threads that
 * they start: who waits for a page is served before them. */
#define RUN_NICE 15

/* How old versions and history may get beyond their age, and how long reads
 * may go on for a client that has gone. */
#define LOOK_MS 1000
#define GONE_LOOK_MS 25

/* How often a recovery tells how far it is, and looks at signals. */
#define PROGRESS_MS 250
#define WATCH_MS 20

struct session {
    const struct session_options *options;
    uv_loop_t loop;
    uv_pipe_t in;
    uv_pipe_t out;
    uv_signal_t term;
    uv_idle_t turn;
    uv_timer_t grace;
    struct awake awake;
    uv_timer_t look; /* the next time at which something is due */
    uint64_t look_at_ms;

    struct mem mem; /* frames, replies, scratch: all but the store */
    struct store *store;
    struct frames frames;
    struct writer writer;
    struct commands *commands;
    struct figures *figures;
    struct readings *readings;
    struct worker readers;
    struct worker helper;
    struct settler settler;
    struct worker runners;

    /* Of a durable store; `log` is NULL in memory only. */
    struct opening opening;
    struct termlog *log;
    struct worker worker; /* for files */
    struct syncer syncer;
    struct checkpointer *checkpointer;
    uint64_t told_seq;   /* in the last {seq, N} */
    uint64_t watched_ms; /* while it opens */
    uint64_t progress_ms;
    bool last_checkpoint; /* that of the end was begun */
    bool log_closed;

    int in_fd;
    int out_fd;
    bool in_is_file;
    bool out_enlarged;
    bool opened; /* there is a store to serve */
    bool reading;
    bool blocked;  /* QUEUE_HIGH was passed */
    bool eof;      /* nothing more will be read */
    bool stopping; /* by SIGTERM: what is cut short does not matter */
    bool ending;   /* `status` is set; only writing goes on */
    bool gone;     /* nobody reads: what is written is lost */
    bool dead;     /* the loop ends now, whatever there is */
    int status;

    unsigned ticks;      /* while `stopping` */
    unsigned idle_ticks; /* while `stopping`: since bytes last left */
    uint64_t bytes_gone; /* that had left by then */
};

static void session_pump(struct session *session);
static void look_set(struct session *session);
static void output_flush(struct session *session);

/* --- the end ------------------------------------------------------------ */

/* Ends when the replies so far are written. The first reason counts. */
static void session_end(struct session *session, int status)
{
    if (session->ending)
        return;
    session->ending = true;
    session->status = status;
}

/* There is nobody to write to: ends without what waits to leave. */
static void session_abandon(struct session *session, int status)
{
    session->ending = true;
    session->gone = true;
    session->status = status;
    writer_clear(&session->writer);
}

/* Ends the loop, whatever there is. */
static void session_stop(struct session *session, int status)
{
    session->ending = true;
    session->dead = true;
    session->status = status;
    uv_stop(&session->loop);
}

static void session_no_memory(struct session *session, const char *what)
{
    process_complain("no memory %s", what);
    session_stop(session, EXIT_NO_MEMORY);
}

/* The log can be trusted no more: nothing may leave from now on. */
static void log_failed(void *context, enum status st)
{
    struct session *session = context;
    const char *what, *file;
    int error;

    if (session->dead)
        return;
    if (st == ST_NO_MEMORY) {
        session_no_memory(session, "to sync the log");
        return;
    }
    error = termlog_error(session->log, &what, &file);
    process_complain("the log failed, nothing more is acknowledged: %s %s: %s",
                     what, file, strerror(error));
    session_stop(session, EXIT_IO);
}

/* Closes the log once nothing needs it any more; false: not yet, and the end
 * of a job will call the pump. */
static bool session_close_log(struct session *session)
{
    const struct session_options *options = session->options;
    enum status st;

    if (!session->log || session->log_closed)
        return true;
    if (!options->checkpoint_at_stop)
        checkpointer_cancel(session->checkpointer, session->gone);
    if (commands_later_count(session->commands))
        syncer_look(&session->syncer, true);
    if (session->worker.running || session->dead)
        return false;
    if (options->checkpoint_at_stop && !session->last_checkpoint &&
        store_seq(session->store) > termlog_checkpoint_seq(session->log)) {
        session->last_checkpoint = true;
        checkpointer_begin(session->checkpointer);
        if (session->worker.running)
            return false;
    }
    st = termlog_close(session->log, store_digest(session->store));
    session->log_closed = true;
    if (st < 0)
        log_failed(session, st);
    return !session->dead;
}

/* Lets those come to an end who work for the client: all that was asked for
 * is answered, unless nobody reads it any more. */
static bool session_finish_jobs(struct session *session)
{
    feed_stop(session->commands->feed);
    if (session->gone) {
        readings_cancel(session->readings);
        readings_look(session->readings, 0);
    }
    return readings_count(session->readings) == 0 &&
           projections_running(session->commands->projections) == 0;
}

/* The loop can stop once an ending session has written everything. */
static void session_stop_if_done(struct session *session)
{
    if (!session->ending || session->dead)
        return;
    if (session->opened && !session_finish_jobs(session))
        return;
    if (!session_close_log(session))
        return;
    output_flush(session); /* the end of the log may have been an event */
    if (session->gone ||
        (writer_size(&session->writer) == 0 &&
         uv_stream_get_write_queue_size((uv_stream_t *)&session->out) == 0))
        session_stop(session, session->status);
}

/* --- output ------------------------------------------------------------- */

/* Bytes that nobody has taken yet: replies, and records of the log. */
static size_t output_waiting(const struct session *session)
{
    size_t bytes =
        uv_stream_get_write_queue_size((const uv_stream_t *)&session->out) +
        writer_size(&session->writer);

    if (session->log)
        bytes += commands_held_bytes(session->commands) +
                 termlog_pending_bytes(session->log);
    return bytes;
}

/*
 * Is it time to stop reading requests? When too much waits to leave; and long
 * reads that wait for their turn count with it while the client is slow, but
 * by themselves they must not keep others waiting, nor what cancels them.
 */
static bool session_is_full(const struct session *session)
{
    size_t waiting = output_waiting(session);

    return waiting >= QUEUE_HIGH ||
           (waiting >= QUEUE_LOW &&
            waiting + readings_bytes(session->readings) >= QUEUE_HIGH);
}

static void output_failed(struct session *session, int error)
{
    if (session->ending && session->status != EXIT_STOPPED)
        error = UV_EPIPE; /* one line is enough */
    if (error == UV_EPIPE || error == UV_ECONNRESET) {
        session_abandon(session,
                        session->ending ? session->status : EXIT_STOPPED);
        return;
    }
    process_complain("writing replies failed: %s", uv_strerror(error));
    session_abandon(session, EXIT_IO);
}

/* A frame that the pipe had no room for, in libuv's hands. */
struct output {
    uv_write_t request;
    struct session *session;
    struct buffer frame;
};

static void output_free(struct output *output)
{
    buffer_free(&output->frame);
    mem_free(&output->session->mem, output, sizeof(*output));
}

static void on_written(uv_write_t *request, int status)
{
    struct output *output = request->data;
    struct session *session = output->session;

    output_free(output);
    if (session->dead)
        return;
    if (status < 0) {
        output_failed(session, status);
        session_pump(session);
        session_stop_if_done(session);
        return;
    }
    /* In this order: a flush may write everything at once, and then no other
     * call of this function is to come. */
    output_flush(session);
    if (session->blocked && output_waiting(session) < QUEUE_LOW)
        session_pump(session);
    session_stop_if_done(session);
}

/* Hands the frame over to libuv, from its byte `written` on. */
static void output_queue(struct session *session, size_t written)
{
    struct mem *mem = &session->mem;
    struct output *output = mem_alloc(mem, sizeof(*output));
    struct buffer frame = writer_take(&session->writer);
    uint8_t *fitting;
    uv_buf_t rest;
    int error;

    if (!output) {
        buffer_free(&frame);
        session_no_memory(session, "for replies");
        return;
    }
    /* A frame may wait for long: no more memory than it has bytes. */
    fitting = mem_grow(mem, frame.data, frame.capacity, frame.size);
    if (fitting) {
        frame.data = fitting;
        frame.capacity = frame.size;
    }
    output->request.data = output;
    output->session = session;
    output->frame = frame;
    rest = uv_buf_init((char *)frame.data + written,
                       (unsigned)(frame.size - written));
    session->awake.blind = true;
    error = uv_write(&output->request, (uv_stream_t *)&session->out, &rest, 1,
                     on_written);
    if (error < 0) {
        output_free(output);
        output_failed(session, error);
    }
}

/* Writes what the pipe takes of `frame`: the count, or an error. */
static int output_try(struct session *session, struct bytes frame)
{
    uv_buf_t buf =
        uv_buf_init((char *)(uintptr_t)frame.data, (unsigned)frame.size);
    int written = uv_try_write((uv_stream_t *)&session->out, &buf, 1);

    return written == UV_EAGAIN ? 0 : written;
}

/* Writes the log: what the replies say survives our own death from then on.
 * Under `always` they wait for more than that, and a sync begins with it. */
static void output_back(struct session *session)
{
    enum status st;

    if (!session->log || session->options->policy == SYNC_ALWAYS ||
        session->dead || session->log_closed)
        return;
    st = termlog_write(session->log);
    if (st < 0)
        log_failed(session, st);
}

/* Ends a frame with the seq that it acknowledges. */
static void output_acknowledge(struct session *session)
{
    uint64_t seq;

    if (!session->log || !session->writer.replies)
        return;
    seq = commands_acknowledged(session->commands);
    if (seq > session->told_seq && event_seq(&session->writer, seq) == ST_OK)
        session->told_seq = seq;
}

/* Sends the replies so far, unless a queue lets them gather a while. */
static void output_flush(struct session *session)
{
    size_t queued =
        uv_stream_get_write_queue_size((uv_stream_t *)&session->out);
    struct bytes frame;
    int written;

    output_back(session);
    if (session->dead)
        return;
    if (session->gone)
        writer_clear(&session->writer);
    if (queued && writer_size(&session->writer) < SPLIT_BYTES)
        return;
    output_acknowledge(session);
    frame = writer_frame(&session->writer);
    if (!frame.size)
        return;
    session->figures->bytes_out += frame.size;
    written = output_try(session, frame);
    if (written >= 0 && (size_t)written < frame.size &&
        !session->out_enlarged) {
        session->out_enlarged = true;
        fcntl(session->out_fd, F_SETPIPE_SZ, PIPE_BYTES);
    }
    if (written < 0)
        output_failed(session, written);
    else if ((size_t)written < frame.size)
        output_queue(session, (size_t)written);
    else
        writer_clear(&session->writer);
}

/* --- input -------------------------------------------------------------- */

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct session *session = handle->data;
    uint8_t *room;
    size_t size;

    (void)suggested;
    *buf = uv_buf_init(NULL, 0);
    if (frames_space(&session->frames, &room, &size) == ST_OK)
        *buf = uv_buf_init((char *)room, (unsigned)size);
}

/* `count` bytes came into the room; or an error, or the end. */
static void input_arrived(struct session *session, ssize_t count)
{
    if (count == UV_EOF) {
        session->eof = true;
    } else if (count == UV_ENOBUFS) {
        session_no_memory(session, "to read a request into");
    } else if (count < 0) {
        process_complain("reading requests failed: %s",
                         uv_strerror((int)count));
        session_end(session, EXIT_IO);
    } else {
        frames_filled(&session->frames, (size_t)count);
        session->figures->bytes_in += (uint64_t)count;
    }
    session_pump(session);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    (void)buf;
    if (count != 0) /* 0 is EAGAIN */
        input_arrived(stream->data, count);
}

/* One read of a regular file. uv_fs_read() without a callback runs here and
 * now and starts no thread. */
static void input_read_file(struct session *session)
{
    uv_buf_t buf;
    uv_fs_t request;
    ssize_t count;

    on_room((uv_handle_t *)&session->in, 0, &buf);
    count = UV_ENOBUFS;
    if (buf.len) {
        count = uv_fs_read(NULL, &request, session->in_fd, &buf, 1, -1, NULL);
        uv_fs_req_cleanup(&request);
    }
    input_arrived(session, count == 0 ? UV_EOF : count);
}

static void input_set(struct session *session, bool reading)
{
    uv_stream_t *in = (uv_stream_t *)&session->in;

    if (reading == session->reading)
        return;
    session->reading = reading;
    if (session->in_is_file)
        return; /* on_turn() reads */
    session->awake.blind = true;
    if (reading)
        uv_read_start(in, on_room, on_read);
    else
        uv_read_stop(in);
}

static void on_turn(uv_idle_t *turn)
{
    struct session *session = turn->data;

    if (session->reading)
        input_read_file(session);
    else
        session_pump(session);
}

/* --- the pump ----------------------------------------------------------- */

static void session_broken(struct session *session, const char *what)
{
    process_complain("the client broke the protocol: %s", what);
    session_end(session, EXIT_PROTOCOL);
}

/* Opens the next frame that has arrived; false if there is none. */
static bool pump_open(struct session *session)
{
    struct bytes payload;
    bool found;

    if (frames_next(&session->frames, &payload, &found) < 0)
        session_broken(session, "a frame is larger than --frame-bytes-max");
    else if (found && commands_open(session->commands, payload) < 0)
        session_broken(session, "a frame holds no valid term");
    return found && !session->ending;
}

static void pump_step(struct session *session)
{
    enum status st = commands_step(session->commands);

    if (st == ST_BAD_REQUEST)
        session_broken(session, "a request has no integer Id to answer to");
    else if (st == ST_IO)
        log_failed(session, st);
    else if (st < 0)
        session_no_memory(session, "for a reply");
}

/* Lets replies go that have waited for the disk. */
static void pump_release(struct session *session)
{
    bool more = session->log != NULL && !session->dead;

    while (more) {
        if (commands_release(session->commands, SPLIT_BYTES, &more) < 0) {
            session_no_memory(session, "for a reply");
            return;
        }
        if (more)
            output_flush(session);
    }
}

/* Begins what the log needs after some requests. */
static void pump_look(struct session *session)
{
    if (!session->log || session->dead || session->log_closed)
        return;
    if (!session->ending)
        checkpointer_look(session->checkpointer);
    syncer_look(&session->syncer, false);
}

/* So many long reads may run: each may leave a page behind, which a client that
 * is slow does not take. */
static size_t readings_room(const struct session *session)
{
    size_t waiting = output_waiting(session);

    if (waiting < QUEUE_LOW)
        return SIZE_MAX;
    return waiting < QUEUE_HIGH
               ? (QUEUE_HIGH - waiting + SPLIT_BYTES - 1) / SPLIT_BYTES
               : 0;
}

/* Begins reads, ends those that are too late, and tells subscribers, until
 * there is nothing more to do or too much waits to leave. */
static void pump_others(struct session *session)
{
    struct feed *feed = session->commands->feed;
    bool room, again;

    do {
        room = output_waiting(session) < QUEUE_HIGH;
        readings_look(session->readings, readings_room(session));
        projections_look(session->commands->projections);
        if (room && !session->ending && feed_pump(feed) < 0)
            session_no_memory(session, "for an event");
        if (commands_broken(session->commands) < 0)
            session_no_memory(session, "for a reply");
        output_flush(session);
        again = !room || (!session->ending && feed_more(feed));
    } while (again && !session->dead && output_waiting(session) < QUEUE_HIGH);
    session->blocked = session_is_full(session);
}

/* All that was read is done, and nothing more will come. */
static void pump_finish(struct session *session)
{
    if (frames_pending(&session->frames) && !session->stopping)
        session_broken(session, "stdin ended within a frame");
    session_end(session, EXIT_STOPPED);
}

static void session_pump(struct session *session)
{
    uint64_t deadline = uv_hrtime() + TURN_NS;
    unsigned budget = REQUESTS_PER_TURN;
    bool drained = false;
    bool more;

    if (!session->opened || session->dead)
        return;
    pump_release(session);
    while (!session->ending && !session_is_full(session) && budget > 0 &&
           !drained) {
        if (!commands_busy(session->commands)) {
            drained = !pump_open(session);
            continue;
        }
        pump_step(session);
        budget--;
        if (budget % CLOCK_STRIDE == 0 && uv_hrtime() > deadline)
            budget = 0;
        if (writer_size(&session->writer) >= SPLIT_BYTES)
            output_flush(session);
    }
    if (drained && session->eof && !session->ending)
        pump_finish(session);
    pump_look(session);
    settler_look(&session->settler);
    output_flush(session);
    pump_others(session);
    look_set(session);
    more = !session->ending && !session->blocked;
    if (more && drained)
        frames_shrink(&session->frames);
    input_set(session, more && drained);
    if (more && (!drained || session->in_is_file))
        uv_idle_start(&session->turn, on_turn);
    else
        uv_idle_stop(&session->turn);
    session_stop_if_done(session);
}

/* --- the clock ---------------------------------------------------------- */

static void on_look(uv_timer_t *timer)
{
    struct session *session = timer->data;
    struct pollfd out = {.fd = session->out_fd};

    session->look_at_ms = 0;
    versions_look(session->commands->versions);
    results_look(session->commands->results);
    /* Nothing is written while all wait for a read: has the reader gone? */
    if (session->ending && !session->gone && poll(&out, 1, 0) > 0 &&
        (out.revents & (POLLERR | POLLHUP)))
        output_failed(session, UV_EPIPE);
    session_pump(session);
}

/* Milliseconds until something is due though nothing happens; -1: nothing. */
static int64_t look_due_ms(const struct session *session)
{
    int64_t due = readings_due_ms(session->readings);
    int64_t other = -1;

    if (session->ending)
        other = readings_count(session->readings) ? GONE_LOOK_MS : -1;
    else if (versions_count(session->commands->versions) ||
             results_count(session->commands->results))
        other = LOOK_MS;
    if (due < 0 || (other >= 0 && other < due))
        return other;
    return due;
}

/* A clock that is set for something earlier goes on: a look costs nothing. */
static void look_set(struct session *session)
{
    int64_t due = look_due_ms(session);
    uint64_t at = uv_now(&session->loop) + (uint64_t)due;

    if (due < 0)
        return;
    if (session->look_at_ms && session->look_at_ms <= at)
        return;
    session->look_at_ms = at;
    uv_timer_start(&session->look, on_look, (uint64_t)due, 0);
}

/* A sync has set replies free, or something is done that was waited for. */
static void on_job_ended(void *context)
{
    struct session *session = context;

    session_pump(session);
}

/* --- signals and the start ---------------------------------------------- */

static void on_grace_tick(uv_timer_t *timer)
{
    struct session *session = timer->data;
    size_t queued =
        uv_stream_get_write_queue_size((uv_stream_t *)&session->out);
    uint64_t bytes_gone = session->figures->bytes_out - queued;

    if (!queued || bytes_gone != session->bytes_gone)
        session->idle_ticks = 0;
    session->bytes_gone = bytes_gone;
    if (++session->ticks >= GRACE_MS / GRACE_TICK_MS && session->opened) {
        readings_cancel(session->readings);
        session_pump(session);
    }
    if (++session->idle_ticks < GRACE_MS / GRACE_TICK_MS)
        return;
    process_complain("asked to stop, but the client does not read its "
                     "replies; they are lost");
    session_abandon(session, EXIT_IO);
    session_pump(session);
    session_stop_if_done(session);
}

static void on_term(uv_signal_t *signal, int number)
{
    struct session *session = signal->data;

    (void)number;
    if (session->stopping)
        return;
    session->eof = true;
    session->stopping = true;
    session->bytes_gone =
        session->figures->bytes_out -
        uv_stream_get_write_queue_size((uv_stream_t *)&session->out);
    uv_timer_start(&session->grace, on_grace_tick, GRACE_TICK_MS,
                   GRACE_TICK_MS);
    if (session->opened && !session->blocked)
        session_pump(session);
}

/* stdin and stdout must lead to a program or a file. */
static bool session_open_stdio(struct session *session)
{
    uv_handle_type in = uv_guess_handle(session->in_fd);
    uv_handle_type out = uv_guess_handle(session->out_fd);
    int error;

    if (in == UV_TTY || out == UV_TTY) {
        process_complain("the port mode speaks frames with a program, not "
                         "with a terminal; see rhizome --help");
        return false;
    }
    if (in == UV_UNKNOWN_HANDLE || out == UV_UNKNOWN_HANDLE) {
        process_complain("stdin and stdout must be open: pipes, sockets or "
                         "files");
        return false;
    }
    session->in_is_file = in == UV_FILE;
    error = uv_pipe_open(&session->out, session->out_fd);
    if (error == 0 && !session->in_is_file)
        error = uv_pipe_open(&session->in, session->in_fd);
    if (error < 0)
        process_complain("stdin or stdout cannot be used: %s",
                         uv_strerror(error));
    return error == 0;
}

static int session_open_loop(struct session *session)
{
    int error = uv_loop_init(&session->loop);

    if (error < 0)
        return error;
    session->in.data = session;
    session->turn.data = session;
    session->grace.data = session;
    session->look.data = session;
    session->term.data = session;
    uv_pipe_init(&session->loop, &session->in, 0);
    uv_pipe_init(&session->loop, &session->out, 0);
    uv_idle_init(&session->loop, &session->turn);
    uv_timer_init(&session->loop, &session->grace);
    uv_timer_init(&session->loop, &session->look);
    error = uv_signal_init(&session->loop, &session->term);
    if (error < 0)
        return error;
    return uv_signal_start(&session->term, on_term, SIGTERM);
}

/* --- opening the store -------------------------------------------------- */

static void session_set_algorithms(struct commands *commands,
                                   const struct session_options *options)
{
    const struct version_limits results = {RESULTS_MAX_DEFAULT,
                                           options->versions.age_ms};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    results_set_limits(commands->results, &results);
    projections_set_cache(commands->projections, options->projection_cache);
    commands->threads_max = options->threads;
    if (!commands->threads_max && processors > 0)
        commands->threads_max = processors < RUN_THREADS_MAX
                                    ? (unsigned)processors
                                    : RUN_THREADS_MAX;
    if (!commands->threads_max)
        commands->threads_max = 1;
}

static enum status session_open_store(struct session *session,
                                      const struct session_options *options)
{
    struct store_options store_options = {options->memory_limit};
    enum status st;

    mem_init(&session->mem, 0);
    frames_init(&session->frames, &session->mem, options->frame_bytes_max);
    writer_init(&session->writer, &session->mem, options->frame_bytes_max);
    st = store_create(&store_options, &session->store);
    if (st < 0)
        return st;
    st = commands_create(session->store, &session->mem, &session->writer,
                         &session->commands);
    if (st < 0)
        return st;
    session->figures = commands_figures(session->commands);
    versions_set_limits(session->commands->versions, &options->versions);
    session_set_algorithms(session->commands, options);
    return ST_OK;
}

/* Has the client hung up, with nothing left to be read? */
static bool client_gone(const struct session *session)
{
    struct pollfd in = {.fd = session->in_fd, .events = POLLIN};

    return poll(&in, 1, 0) > 0 && (in.revents & POLLHUP) &&
           !(in.revents & POLLIN);
}

/* Says how far it is, and gives signals and the client a chance. */
static bool on_tick(void *context, uint64_t done, uint64_t total)
{
    struct session *session = context;
    uint64_t now = uv_hrtime() / 1000000;

    if (now - session->watched_ms >= WATCH_MS) {
        session->watched_ms = now;
        uv_run(&session->loop, UV_RUN_NOWAIT);
    }
    if (total && now - session->progress_ms >= PROGRESS_MS &&
        event_recovering(&session->writer, done, total) == ST_OK) {
        session->progress_ms = now;
        output_flush(session);
    }
    /* Nobody needs the directory any more that is being waited for. */
    if (!total && client_gone(session))
        session->stopping = true;
    return !session->stopping && !session->ending;
}

/* Tells the client and stderr why the directory cannot be opened. */
static void session_not_opened(struct session *session)
{
    const struct opening *opening = &session->opening;
    int status = EXIT_IO;

    if (session->ending || opening->given_up) {
        session_end(session, EXIT_STOPPED);
        return;
    }
    if (opening->failed == ST_LOCKED)
        status = EXIT_LOCKED;
    else if (opening->failed == ST_LOG_REFUSED)
        status = EXIT_REFUSED;
    else if (opening->failed == ST_NO_MEMORY)
        status = EXIT_NO_MEMORY;
    process_complain("%s: %s", session->options->directory, opening->message);
    event_failed(&session->writer, opening);
    session_end(session, status);
}

/* None starts a thread yet. */
static bool session_open_workers(struct session *session)
{
    const struct job_host host = {worker_start, &session->readers};
    const struct job_host runs = {worker_start, &session->runners};
    const struct job_host help = {worker_start, &session->helper};
    enum status st =
        worker_init(&session->readers, &session->loop, READ_THREADS, READ_NICE,
                    &session->mem, on_job_ended, session);

    if (st == ST_OK)
        st = worker_init(&session->runners, &session->loop, RUN_THREADS,
                         RUN_NICE, &session->mem, on_job_ended, session);
    if (st == ST_OK)
        st = worker_init(&session->helper, &session->loop, 1, 0, &session->mem,
                         on_job_ended, session);
    if (st == ST_OK && session->options->directory)
        st = worker_init(&session->worker, &session->loop, FILE_THREADS, 0,
                         &session->mem, on_job_ended, session);
    if (st < 0) {
        session_no_memory(session, "for threads");
        return false;
    }
    settler_init(&session->settler, &help);
    session->readings = commands_readings(session->commands);
    readings_set_host(session->readings, LANE_READS, &host, READ_THREADS);
    readings_set_host(session->readings, LANE_RUNS, &runs, RUNS_AT_A_TIME);
    return true;
}

/* Recovers the directory and makes the store a durable one. False: ends. */
static bool session_open_directory(struct session *session)
{
    const struct session_options *options = session->options;
    const struct opening_options how = {
        .path = options->directory,
        .lock_wait_ms = options->lock_wait_ms,
        .segment_bytes = options->segment_bytes,
        .expect_store = options->has_expect ? options->expect_store : NULL,
        .expect_seq = options->has_expect ? options->expect_seq : 0,
        .tick = on_tick,
        .context = session,
    };
    struct commands_log log = {
        .policy = options->policy,
        .interval_ms = options->interval_ms,
        .directory = options->directory,
        .checkpoints = options->checkpoints,
        .host = {worker_start, &session->worker},
    };

    session->watched_ms = session->progress_ms = uv_hrtime() / 1000000;
    if (opening_run(&how, session->store, &session->mem, &session->opening) <
        0) {
        session_not_opened(session);
        return false;
    }
    log.log = session->opening.log;
    if (commands_set_log(session->commands, &log) < 0) {
        session_no_memory(session, "to start with");
        return false;
    }
    session->log = log.log;
    session->checkpointer = commands_checkpointer(session->commands);
    session->told_seq = commands_acknowledged(session->commands);
    syncer_init(&session->syncer, &session->loop, session->commands,
                &session->worker, log_failed, session);
    return true;
}

/* Files beneath the directory, then threads, then no other system call: in
 * this order, for a thread keeps the rights that it started with. A sync and a
 * checkpoint must find theirs; all others are started when they are needed. */
static bool session_seal(struct session *session)
{
    const struct session_options *options = session->options;

    if (options->seal && session->log)
        seal_directory(options->directory);
    if (session->log && worker_warm(&session->worker, 2) < 0)
        session_no_memory(session, "for threads");
    return options->seal && seal(session->log ? SEAL_FILES : SEAL_STRICT);
}

static void session_open(struct session *session)
{
    const struct session_options *options = session->options;
    const struct opening *opening =
        options->directory ? &session->opening : NULL;

    if (!session_open_workers(session) ||
        (options->directory && !session_open_directory(session)))
        return;
    if (event_hello(&session->writer, session->commands, session->store,
                    options->frame_bytes_max, opening) < 0) {
        session_no_memory(session, "to start with");
        return;
    }
    output_flush(session);
    fcntl(session->in_fd, F_SETPIPE_SZ, PIPE_BYTES);
    session->figures->sealed = session_seal(session);
    if (awake_init(&session->awake, &session->loop,
                   (uint64_t)options->busy_wait_us * 1000,
                   &session->figures->commands) < 0) {
        session_no_memory(session, "to start with");
        return;
    }
    session->opened = true;
}

/* What is freed is what a leak checker would not see the pointers of. */
static void session_free(struct session *session)
{
#ifdef RHIZOME_SANITIZE
    worker_stop(&session->readers);
    worker_stop(&session->runners);
    worker_stop(&session->helper);
    worker_stop(&session->worker);
    commands_free(session->commands);
    opening_close(&session->opening);
    store_free(session->store);
#else
    (void)session;
#endif
}

int session_run(const struct session_options *options)
{
    static struct session session;
    int error;

    session.options = options;
    session.in_fd = STDIN_FILENO;
    session.out_fd = options->out;
    if (session_open_store(&session, options) < 0) {
        process_complain("no memory to start with; is --memory-limit too "
                         "low?");
        return EXIT_NO_MEMORY;
    }
    error = session_open_loop(&session);
    if (error < 0) {
        process_complain("the event loop did not start: %s",
                         uv_strerror(error));
        return EXIT_IO;
    }
    if (!session_open_stdio(&session))
        return EXIT_USAGE;
    session_open(&session);
    session_pump(&session);
    output_flush(&session);
    session_stop_if_done(&session);
    if (!session.dead)
        uv_run(&session.loop, UV_RUN_DEFAULT);
    /* A job that still runs would be waited for by exit(). */
    if (session.worker.running || session.readers.running ||
        session.runners.running || session.helper.running)
        _exit(session.status);
    session_free(&session);
    return session.status;
}
