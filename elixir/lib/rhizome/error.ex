defmodule Rhizome.Error do
  # The daemon's part of this list is STATUS_LIST in port_src/core/status.h,
  # in its order; a test compares the two.
  @daemon_codes [
    bad_term: "the bytes are no valid external term",
    too_deep: "the term is nested too deeply",
    too_big: "a key, a value or a reply is larger than its limit",
    bad_request: "a request must be {Id, Op} with an integer Id and a tuple Op",
    unknown_command: "no command has this name",
    wrong_arity: "the command takes another number of arguments",
    bad_argument: "an argument has the wrong type or value",
    no_table: "no table has this name; create it first",
    table_exists: "a table of this name exists already",
    wrong_table_type: "the table's type has no such command, side or set of one key",
    not_found: "no row has this id",
    missing_reference: "a side must exist in the table that it refers to; insert it there",
    restricted: "other tables still refer to this; delete their pairs first",
    memory_limit: "the store's memory limit is reached; delete something or raise it",
    no_memory: "the operating system gave no memory",
    exhausted: "the table has given out all of its ids",
    log_full: "there is no room on the disk for the log; nothing was done",
    no_log: "the store is in memory only; start it with a directory",
    log_refused: "the log is damaged and was not changed; see rhizome check --help",
    locked: "another process holds the directory",
    io: "a file could not be read or written",
    no_snapshot: "no snapshot or fork has this name: released, too old, or never taken",
    snapshot_limit: "as many snapshots and forks are open as may be; release one",
    conflict: "what the fork has read was changed since; fork and try again",
    stale: "the store is no longer at the seq that was expected",
    deadline: "the time for the request was up before it was done",
    row_limit: "the request looked at as many elements as it may",
    memory_budget: "the request needs more memory than it may take",
    cancelled: "the request was cancelled",
    no_history: "the changes from this seq on are no longer there",
    no_vertex: "the graph has no such vertex",
    bad_weight: "the weight of an edge is no number, or one that may not be here",
    cyclic: "the graph has a cycle, and what was asked for exists without one only",
    no_projection: "no projection has this name; it was dropped, or never made",
    no_result: "no result has this name: released, too old, or never made"
  ]

  @client_codes [
    overloaded: "too many requests are in flight; the request was not sent",
    timeout: "no answer came in time; whether the request was carried out is unknown",
    daemon_down: "the daemon died before it answered",
    unknown_result: "the daemon ended before it answered; the mutation may be done or not",
    stopped: "the store is not running: not started, stopped, or just being started again",
    start_failed: "the daemon did not start"
  ]

  @moduledoc """
  What went wrong: a `:code` to match on, a `:message` to read, and `:details`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> {:error, error} = Rhizome.table(store, :nowhere)
      iex> error.code
      :no_table

  Functions that answer with tuples return it in `{:error, error}`; all others
  raise it. `:details` is a map with what applies of

    * `:table` and `:key` - the ones at fault. Of a `:conflict`, those that were changed;
      where one of each cannot be told, they are missing
    * `:argument`, `:position`, `:index` - which argument of a command (from 1),
      which element of a list and which mutation of a batch (from 0)
    * `:limit` - the limit that was hit
    * `:from`, `:to` - the ends of an edge at fault; a vertex at fault is a `:key`, and of an
      edge that was to be put its `from` is
    * `:vertex` - of `:bad_weight`, where a heuristic has no number
    * `:line`, `:column` - the place in a file (`:file`) that is wrong
    * `:count`, `:next` - how many elements a read had when its time, its rows or its
      memory were used up, and the `:cursor` with which it goes on
    * `:expected`, `:seq` - the seq that a mutation was for, and that of the store
    * `:oldest` - the first seq whose changes are known
    * `:outcome` - of the codes of the client: `:not_sent` when the daemon
      cannot have seen the request, `:unknown` when it may have carried it out
    * `:reason` - why a daemon did not start (`:locked`, `:io`, `:log_full`,
      `:timeout` ...); `:nodedown` where the node of a store cannot be reached
    * `:dir`, `:file`, `:offset`, `:errno` - the directory of a store, the file
      in it, and the place in that at which something is wrong
    * `:missing_from`, `:missing_to` - the mutations that a refused log lacks, by
      their seqs; `:proof_file`, `:proof_offset` - where it says that they were
      durable
    * `:os_pid` - the process (of the operating system) that holds a directory

  Expect other codes and details from newer daemons, and do not act upon the
  text of a message.

  ## Codes of the daemon

  A failed command has changed nothing.

  #{Enum.map_join(@daemon_codes, "\n", fn {code, text} -> "  * `#{inspect(code)}` - #{text}" end)}

  ## Codes of the client

  #{Enum.map_join(@client_codes, "\n", fn {code, text} -> "  * `#{inspect(code)}` - #{text}" end)}
  """

  @codes Keyword.keys(@daemon_codes) ++ Keyword.keys(@client_codes)

  defexception [:code, :message, details: %{}]

  @typedoc "One of `codes/0`."
  @type code :: atom()
  @type t :: %__MODULE__{code: code(), message: String.t(), details: map()}

  @doc """
  Every code that an error can have, the daemon's and the client's.

      iex> :memory_limit in Rhizome.Error.codes()
      true

  """
  @spec codes() :: [code()]
  def codes, do: @codes

  @doc false
  def daemon_codes, do: @daemon_codes

  @doc false
  def client_codes, do: @client_codes

  # The general sentence of a code, unless a more precise one is at hand.
  @doc false
  @spec new(code(), String.t() | nil, map()) :: t()
  def new(code, message \\ nil, details \\ %{}) do
    %__MODULE__{code: code, message: message || text(code), details: details}
  end

  # What a store answers to a call that is none of this library's.
  @doc false
  @spec bad_call() :: t()
  def bad_call, do: new(:bad_request, "a store takes no such call", %{outcome: :not_sent})

  for {code, text} <- @daemon_codes ++ @client_codes do
    defp text(unquote(code)), do: unquote(text)
  end

  defp text(code), do: "the daemon answered #{inspect(code)}"

  @impl true
  def message(%__MODULE__{code: code, message: message, details: details}) do
    places =
      for {name, value} <- details, name in [:table, :index], do: "#{name} #{inspect(value)}"

    case element(code, details) ++ places do
      [] -> "#{code}: #{message}"
      places -> "#{code}: #{message} (" <> Enum.join(places, ", ") <> ")"
    end
  end

  # The vertex or the edge of a graph that is at fault.
  defp element(:bad_weight, %{from: from, to: to}),
    do: ["edge from #{short(from)} to #{short(to)}"]

  defp element(:bad_weight, %{vertex: vertex}), do: ["vertex #{short(vertex)}"]
  defp element(:bad_weight, %{key: from}), do: ["edge from #{short(from)}"]
  defp element(code, %{key: key}) when code in [:no_vertex, :cyclic], do: ["vertex #{short(key)}"]
  defp element(_code, _details), do: []

  defp short(term), do: inspect(term, limit: 5, printable_limit: 40)
end
