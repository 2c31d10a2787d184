defmodule Rhizome.Options do
  @moduledoc false
  # One schema an option list: it validates, fills in defaults and writes the
  # documentation. A row is
  #
  #     name: {type, default, "what it does"}
  #
  # with :unset for an option that stays absent unless it is given.

  alias Rhizome.{Table, Version}

  require Version

  @kib 1024
  @mib 1024 * 1024

  # What the runtime's timers take, and for what has a grace period added.
  @timeout_max 0xFFFF_FFFF
  @milliseconds_max 0x7FFF_FFFF

  # What the daemon takes.
  @frame_bytes 1_024..(1_024 * 1_024 * 1_024)
  @memory_bytes_max 0x7FFF_FFFF_FFFF_FFFF
  @segment_bytes (64 * @kib)..(512 * @mib)
  @interval_ms 1..3_600_000
  @page_max 0x7FFF_FFFF
  @position_max 0x7FFF_FFFF_FFFF_FFFF

  @timeout {:timeout, :unset,
            "How long to wait for an answer, in milliseconds or `:infinity`. Defaults to the " <>
              "`:timeout` that the store was started with."}

  @start [
    name:
      {:name, :unset,
       "How the store is registered: an atom, `{:global, term}` or `{:via, module, term}`."},
    executable:
      {:path, :unset,
       "The daemon to run. Defaults to the environment variable `RHIZOME_EXECUTABLE`, then " <>
         "`config :rhizome, :executable`, then the one that was compiled with the library."},
    dir:
      {:directory, nil,
       "The directory in which the store lives, made if it is missing. A relative path is " <>
         "taken from where the VM is when the child specification is made. Without it, or with `nil`, the store is in memory only. One store at a time " <>
         "can have a directory."},
    sync:
      {:sync, {:interval, 1_000},
       "When what is acknowledged is on the disk, of a store with a `:dir`. Whatever the " <>
         "policy, it is in the operating system's hands before it is acknowledged, and outlives " <>
         "the daemon and the VM. `:always`: a mutation is answered when it is on the disk, and " <>
         "outlives a power failure; those of many callers share one sync. `{:interval, ms}`: a " <>
         "power failure or a crash of the operating system takes at most about the last `ms` " <>
         "milliseconds. `:none`: it takes whatever the operating system had not written by " <>
         "itself. `Rhizome.sync/2` waits for the disk under any policy."},
    checkpoint:
      {:checkpoint, [],
       "When the store writes a checkpoint by itself, which keeps the log short and the next " <>
         "start quick. A keyword list: `:ratio`, when the log since the last one is larger than " <>
         "so many times that one (a number above 0, by default 2, or `:never`); `:min_bytes`, " <>
         "but not before the log has so many (64 MiB); `:at_stop`, also when the store is " <>
         "stopped (`false`), for which `:shutdown_timeout` must leave the time."},
    segment_bytes:
      {:segment_bytes, 64 * @mib,
       "The size at which the log goes on in another file, from 64 KiB to 512 MiB."},
    memory_limit:
      {:bytes_or_infinity, :infinity,
       "Bytes that the tables may take. Beyond it, mutations fail with `:memory_limit` while " <>
         "reads and deletes go on."},
    timeout: {:timeout, 5_000, "How long a call waits when it does not say so itself."},
    start_timeout:
      {:milliseconds, 5_000,
       "How long the daemon may take to say hello. Each report that a recovery goes on starts " <>
         "this time again, so a long one does not run out of it; and waiting for a process that " <>
         "still holds the directory, for `:shutdown_timeout` and a second, comes on top."},
    shutdown_timeout:
      {:milliseconds, 5_000,
       "The grace period: how long the daemon may take to answer what is in flight and to " <>
         "exit when the store stops, before it is killed."},
    max_in_flight:
      {:positive, 16_384,
       "Requests that may wait for an answer at a time. The next one fails with `:overloaded`."},
    max_in_flight_bytes:
      {:bytes, 64 * @mib,
       "Bytes of requests that may wait at a time; a single larger one passes alone."},
    max_snapshots:
      {:snapshots, :unset,
       "Snapshots and forks that may be open at a time, those of transactions among them. The " <>
         "next one fails with `:snapshot_limit` at once. The daemon's default is 10,000."},
    max_snapshot_age:
      {:age, :unset,
       "How old a snapshot or a fork may become, in milliseconds or `:infinity`. An older one is " <>
         "released, and fails with `:no_snapshot`. The daemon's default is an hour."},
    threads:
      {:positive, :unset,
       "Threads that one run of an algorithm may have at most, up to 64. The daemon's default is " <>
         "one for each core."},
    projection_cache:
      {:bytes, :unset,
       "Bytes of projections that are kept for the next run while nobody uses them. The daemon's " <>
         "default is 1 GiB."},
    busy_wait_us:
      {:busy_wait, :unset,
       "After a short pause, how many microseconds the daemon looks for the next request before it " <>
         "sleeps, up to 10,000; 0: none. While requests come in close succession that saves each " <>
         "the time to wake a process up, for processor time that nobody else wants. The " <>
         "daemon's default is 150."},
    frame_bytes_max:
      {:frame_bytes, :unset,
       "The largest request and the largest reply, from 1 KiB to 1 GiB; a page of a walk ends " <>
         "behind the item that passes 1 MiB, whatever this is. The daemon's default is 64 MiB."}
  ]

  @idempotency_key {:key, :unset,
                    "Any term but `nil` that names this mutation: a second one with the same key does " <>
                      "nothing and is answered as the first one was. See \"Retries\" in `Rhizome`."}

  @expect {:seq, :unset,
           "The seq at which the store must be, as `Rhizome.info/2` and others give it. If it has " <>
             "moved on, the mutation fails with `:stale` and the two seqs as `:expected` and `:seq`."}

  @await {:boolean, true,
          "In a transaction: with `false`, the function returns `:ok` at once, and the mutation " <>
            "travels with the next request or the commit. See `Rhizome.Transaction`."}

  @call [timeout: @timeout]

  @at {:version, :unset,
       "The snapshot, fork or transaction in which to read, in place of the store itself. " <>
         "See also `Rhizome.on/2`."}

  @read [at: @at, timeout: @timeout]

  # What may take long. The daemon keeps the time of it, too.
  @where {:condition, :unset, "Only elements of which this holds: a `Rhizome.Condition`."}

  @long [
    where: @where,
    at: @at,
    timeout:
      {:timeout, :unset,
       "How long one request may take, in milliseconds or `:infinity`. Defaults to the `:timeout` " <>
         "that the store was started with. See \"Long reads\" in `Rhizome`."},
    max_rows: {:positive, :unset, "The most elements that one request may look at."},
    max_memory:
      {:bytes, :unset,
       "The most bytes that the daemon may take for the answer to one request. The daemon's " <>
         "default is 64 MiB."}
  ]

  @mutation [
    idempotency_key: @idempotency_key,
    expect: @expect,
    await: @await,
    timeout: @timeout
  ]

  @transaction [
    max_retries:
      {:non_negative, 20, "How often to begin again after a conflict before giving up with it."},
    read_only:
      {:boolean, false,
       "Whether the function only reads. It then sees a snapshot, and there can be no conflict."},
    timeout: @timeout
  ]

  @create_table [
    fwd:
      {:reference, :unset,
       "`{table, :restrict}` or `{table, :evict}`: each key of the fwd side must be a key of " <>
         "that table, and what happens when it is deleted there: refuse, or delete its pairs here."},
    bwd: {:reference, :unset, "The same for the bwd side."},
    directed:
      {:boolean, :unset,
       "Of a `:graph`, whether its edges have a direction. They have unless it says `false`: " <>
         "then `(a, b)` and `(b, a)` name the same edge."},
    weight:
      {:weight, :unset,
       "Of a `:graph`, where the weight of an edge comes from: `:value`, its value, which must " <>
         "be a number or `nil`; `{:key, key}`, what its value, a map, has under `key`; or `nil`, " <>
         "nowhere. An edge without one weighs 1."},
    if_exists:
      {{:in, [:ok, :error]}, :ok,
       "With `:error`, a table that exists already is an error, even if it is the same."},
    idempotency_key: @idempotency_key,
    expect: @expect,
    await: @await,
    timeout: @timeout
  ]

  @log [
    atoms:
      {{:in, [:create, :existing]}, :create,
       "What to do about atoms that this VM does not have. `:create` makes them, as reading " <>
         "from the store does. With `:existing` they are an error: for files of strangers, as " <>
         "the VM has room for about a million atoms and keeps each for ever."},
    checkpoint:
      {:boolean, true,
       "Of a directory: whether to begin with the records of its checkpoint or behind it."},
    torn:
      {{:in, [:stop, :raise]}, :stop,
       "What to do at a torn tail: end there as the daemon would, or raise."}
  ]

  @from [
    from: {:any, :unset, "The key to start at, inclusive."},
    beyond: {:any, :unset, "The key to start beyond: none of its elements belong to the range."},
    after:
      {:any, :unset,
       "The element to start beyond, whether or not it is still there. Other elements of " <>
         "its key belong to the range. Of a pom or a `:to_one`, give the key alone."},
    position:
      {:position, :unset,
       "The position to start at, counted from 0 in ascending order; -1 is the last. All " <>
         "elements count, those that `:where` passes over, too."}
  ]

  @to [
    to: {:any, :unset, "The key to end with, inclusive."},
    before: {:any, :unset, "The key to end before: none of its elements belong to the range."}
  ]

  @cursor [
    cursor:
      {:any, nil,
       "Where another read had stopped: the `:next` of a page, or that in the details of an " <>
         "error. It takes the place of `:from` and its like."}
  ]

  @count @from ++ @to ++ @cursor ++ @long

  @walk @from ++
          @to ++
          [
            reverse:
              {:boolean, false,
               "Walks from the greatest to the smallest. A range still starts at `:from`, which " <>
                 "then is its upper end."},
            limit: {:non_negative, :unset, "The most elements to return."},
            page_size: {:page, 1_000, "The most elements to ask for in one request."}
          ] ++ @cursor ++ @long

  @stream @walk ++
            [
              what:
                {{:in, [:elements, :keys, :values]}, :elements,
                 "What to return: elements, each distinct key once, or the partner or value of " <>
                   "each element."}
            ]

  @page (@stream |> Keyword.drop([:page_size, :limit, :cursor])) ++
          [
            limit: {:page, 100, "The most elements on the page."},
            cursor:
              {:any, nil,
               "The `:next` of the page before this one, which says where this one starts: " <>
                 "leave `:from` and its like away. `nil` starts at the beginning."}
          ]

  ## Graphs

  @vertex [
    value: {:any, nil, "Any term; `nil` is no value."},
    labels: {:list, [], "A list of labels, which are any terms."}
  ]

  @label {:any, nil, "The label of the edge, any term; `nil` is none."}

  @edge [
    value: {:any, nil, "Any term; `nil` is no value."},
    label: @label
  ]

  @any_label [
    label: {:any, :unset, "Only those with this label; `nil` is that of edges which have none."}
  ]

  @elements [
              label:
                {:any, :unset,
                 "Only those with this label; `nil` is that of edges which have none."},
              limit: {:non_negative, :unset, "The most elements to return."},
              page_size: {:page, 1_000, "The most elements to ask for in one request."}
            ] ++ @long

  @contract [
    value:
      {:merge, :first,
       "The value of the super-vertex: `:first`, that of the first member; `:count`, how " <>
         "many there are; `:sum`, `:min` or `:max` of those values that are numbers; or " <>
         "`{:put, term}`."},
    edges:
      {:merge, :first,
       "The value of an edge that several become: `:first`, `:count`, `:sum`, `:min`, `:max` " <>
         "or `{:put, term}`."},
    loops:
      {{:in, [:drop, :keep]}, :drop,
       "What becomes of the edges between members: nothing, or a loop."}
  ]

  @contract_all [
                  name: {:group_name, :unset, "What a super-vertex is called."},
                  min_members: {:positive, 2, "The least members of a group."},
                  timeout: @timeout
                ] ++ @contract

  # Which arcs a walk takes; see port/cmd_traverse.c and PROTOCOL.md.
  @direction {{:in, [:out, :in, :both]}, :out,
              "Along the edges (`:out`), against them (`:in`), or either way (`:both`). In an " <>
                "undirected graph it is always either way."}

  @arcs [
    labels: {:list, :unset, "Only edges with one of these labels; `nil` is that of none."},
    vertex_labels: {:list, :unset, "Only to vertices that have one of these labels."},
    edges:
      {:condition, :unset,
       "Only edges of which this `Rhizome.Condition` holds. `:key` is the vertex at the other " <>
         "end, `:value` the edge's value."},
    vertices:
      {:condition, :unset,
       "Only to vertices of which this holds. `:key` is the vertex, `:value` its value."},
    degree: {:positive, :unset, "The most edges to take of one vertex."}
  ]

  @watched Keyword.delete(@long, :where)

  @depth {:non_negative, :unset, "The most edges that a way may have."}
  @rows_limit {:positive, :unset, "The most rows to return."}

  @neighbors [direction: @direction] ++ @arcs ++ [limit: @rows_limit] ++ @watched

  @traverse [direction: @direction] ++
              @arcs ++ [depth: @depth, limit: @rows_limit] ++ @watched

  @weighted {:boolean, false,
             "Whether the length of a way is the sum of its edges' weights, not their number."}

  @path [direction: @direction] ++
          @arcs ++
          [
            depth: @depth,
            weighted: @weighted,
            heuristic:
              {:table, :unset,
               "A table of the type `:to_one` with a number for each vertex, at most what is " <>
                 "left of the way from there: the search (A*) then looks there first."}
          ] ++ @watched

  @paths [direction: @direction] ++
           @arcs ++ [depth: @depth, limit: @rows_limit, weighted: @weighted] ++ @watched

  @random_walk [direction: @direction] ++
                 @arcs ++
                 [
                   seed:
                     {:non_negative, :unset,
                      "A number: the same one takes the same way. Without it, each call takes " <>
                        "another one."},
                   weighted: {:boolean, false, "Whether a heavier edge is likelier to be taken."}
                 ] ++ @watched

  @spec_options [
    direction:
      {{:in, [:out, :in, :both]}, :out,
       "`:in` turns all edges round, and `:both` makes the graph undirected."},
    labels: {:list, :unset, "Only edges with one of these labels; `nil` is that of none."},
    vertex_labels: {:list, :unset, "Only vertices that have one of these labels."},
    weighted: {:boolean, false, "Whether the edges have their weights, or all weigh 1."}
  ]

  @at_and_limits [
    at: @at,
    timeout:
      {:timeout, :infinity,
       "How long it may take, in milliseconds or `:infinity`; then it fails with `:deadline`. " <>
         "With 0 each run does, and `project/3` unless the projection is there already."},
    max_memory:
      {:bytes, :unset,
       "The most bytes that it may take: `:memory_budget` beyond. Defaults to what the store's " <>
         "`:memory_limit` leaves."}
  ]

  @project @spec_options ++ @at_and_limits

  @run [
         mode:
           {:mode, :rows,
            "`:rows`, a `Rhizome.Graph.Result` of all rows; `:summary`, a map of figures alone; " <>
              "`{:write, table}`, which inserts the rows into that table, too."},
         clear:
           {:boolean, :unset,
            "With `mode: {:write, table}`, whether the table is cleared before its first row comes."},
         order:
           {:order, :unset,
            "The order of the rows: `{column, :asc}`, `{column, :desc}`, or `{column, :desc, n}` " <>
              "for the first `n` alone. Where it is not given, it is that of the vertices."},
         threads: {:positive, :unset, "How many threads take part. Defaults to 1."},
         progress:
           {:progress, :unset,
            "A function of two numbers, how much is done and of how much (0 if that is not " <>
              "known), which is called about four times a second in the calling process."}
       ] ++ @spec_options ++ @at_and_limits

  @rows [
    position: {:non_negative, 0, "The row to start at, counted from 0."},
    limit: {:non_negative, :unset, "The most rows to return."},
    page_size: {:page, 1_000, "The most rows to ask for in one request."},
    timeout: @timeout
  ]

  @format {{:in, [:edges, :neo4j, :jsonl, :graphml, :mtx, :dot]}, :unset,
           "One of those above. Defaults to what the name of the file says."}

  @delimiter {:text, :unset,
              "Of `:edges` and `:neo4j`, what is between two fields: `tab`, `comma`, `semicolon`, " <>
                "`bar`, `space` or a character."}

  @import_file [
    format: @format,
    ids:
      {{:in, [:auto, :integer, :string]}, :unset,
       "What vertices are that a file has as text: integers where they read as such (`:auto`, " <>
         "the default), always, or never."},
    words:
      {{:in, [:strings, :atoms]}, :unset,
       "What labels and names of properties become; the default is `:strings`."},
    delimiter: @delimiter,
    columns:
      {:text, :unset, "Of `:edges`, what the columns are, as `from,to,-,value`: `-` is none."},
    header:
      {{:in, [:auto, :yes, :no]}, :unset, "Of `:edges`, whether the first line is a header."},
    max_errors: {:non_negative, :unset, "How many wrong elements to leave out; 0."},
    batch: {:positive, :unset, "The most elements in one request; 5,000."},
    progress:
      {:progress, :unset,
       "A function of two numbers, how many elements have gone to the store and 0, which is " <>
         "called in the calling process."},
    timeout: @timeout
  ]

  @export_file [
    format: @format,
    delimiter: @delimiter,
    limit: {:positive, :unset, "Of `:dot`, the most vertices, and the most edges."},
    progress:
      {:progress, :unset,
       "A function of two numbers, how many elements were read from the store and how many " <>
         "there are, which is called in the calling process."},
    at: @at,
    timeout: @timeout
  ]

  @picture [
    vertices: {:list, :unset, "Only these, and the edges between them."},
    vertex: {:function, :unset, "What is written at a vertex: a function of `{:vertex, ...}`."},
    edge:
      {:function, :unset,
       "What is written at an edge: a function of `{:edge, ...}` that gives a text or `nil`."},
    directed:
      {:boolean, :unset, "Whether edges have arrows. By default those of a directed graph do."},
    at: @at,
    timeout: @timeout
  ]

  @subscribe [
    from:
      {:from_seq, :now,
       "The seq of the first change to be told, or `:now` for those that are committed from " <>
         "now on."},
    max_queue:
      {:positive, 1_000,
       "How many messages may be in the mailbox of the subscriber, of whatever kind and from " <>
         "whomever, when another one is sent to it. Behind a longer mailbox the feed waits."},
    timeout: @timeout
  ]

  @changes @subscribe ++
             [
               patience:
                 {:timeout, 60_000,
                  "How long to wait for a store that has ended to be there again, in " <>
                    "milliseconds or `:infinity`."}
             ]

  @schemas %{
    start: @start,
    call: @call,
    read: @read,
    mutation: @mutation,
    transaction: @transaction,
    log: @log,
    create_table: @create_table,
    vertex: @vertex,
    edge: @edge,
    edge_label: [label: @label],
    put_vertex: @vertex ++ @mutation,
    put_edge: @edge ++ @mutation,
    delete_edge: [label: @label] ++ @mutation,
    get_edge: [label: @label] ++ @read,
    has_edge: @any_label ++ @read,
    count_label: @any_label ++ @read,
    elements: @elements,
    contract_rules: @contract,
    contract: @contract ++ @mutation,
    contract_all: @contract_all,
    rows: @rows,
    neighbors: @neighbors,
    traverse: @traverse,
    path: @path,
    paths: @paths,
    random_walk: @random_walk,
    project: @project,
    run: @run,
    picture: @picture,
    import: @import_file,
    export: @export_file,
    count: @count,
    walk: @walk,
    stream: @stream,
    page: @page,
    subscribe: @subscribe,
    changes: @changes
  }

  @defaults Map.new(@schemas, fn {name, schema} ->
              {name,
               for({option, {_type, default, _doc}} <- schema, default != :unset, into: %{}) do
                 {option, default}
               end}
            end)

  @typedoc "A key of the map above."
  @type schema :: atom()

  # Returns the options as a map, with defaults; raises ArgumentError.
  @spec validate!(keyword(), schema()) :: map()
  def validate!(options, schema_name) do
    schema = Map.fetch!(@schemas, schema_name)

    unless Keyword.keyword?(options) do
      raise ArgumentError, "options must be a keyword list, got: #{inspect(options)}"
    end

    if match?([_one, _two | _more], options), do: check_unique!(Keyword.keys(options))

    validated =
      Enum.reduce(options, Map.fetch!(@defaults, schema_name), fn {name, value}, validated ->
        case schema[name] do
          {type, _default, _doc} -> Map.put(validated, name, check!(type, name, value))
          nil -> raise ArgumentError, unknown(name, schema, schema_name)
        end
      end)

    if schema_name == :start do
      check_durable!(options)
      Map.update!(validated, :dir, &(&1 && Path.expand(&1)))
    else
      validated
    end
  end

  # Raises ArgumentError if what was given as the default of a read are its options.
  # `call` is the call up to where they belong.
  @spec check_default!(nonempty_maybe_improper_list(), schema(), String.t()) :: :ok
  def check_default!(default, schema_name, call) do
    schema = Map.fetch!(@schemas, schema_name)

    if Keyword.keyword?(default) and Enum.all?(default, fn {name, _} -> schema[name] end) do
      [{name, _value} | _more] = default
      raise ArgumentError, "options come after the default: #{call}, #{name}: ...)"
    end

    :ok
  end

  # Who asks for a sync policy and forgets the directory would find out when
  # it is too late. `dir: nil` says that memory only is meant.
  defp check_durable!(options) do
    for name <- [:sync, :checkpoint, :segment_bytes],
        Keyword.has_key?(options, name) and not Keyword.has_key?(options, :dir) do
      raise ArgumentError,
            "option #{inspect(name)} is for a store on the disk; give its :dir, too " <>
              "(or dir: nil for one in memory only)"
    end
  end

  @doc false
  # The `## Options` text of a schema.
  @spec docs(schema()) :: String.t()
  def docs(schema_name) do
    Enum.map_join(Map.fetch!(@schemas, schema_name), "\n", fn {name, {type, default, doc}} ->
      "  * `#{inspect(name)}` - #{doc}" <> default_doc(type, default)
    end)
  end

  defp default_doc(_type, default) when default in [:unset, nil], do: ""

  defp default_doc(:checkpoint, []), do: ""

  defp default_doc(type, default)
       when type in [:bytes, :bytes_or_infinity, :segment_bytes] and is_integer(default),
       do: " Defaults to #{bytes(default)}."

  defp default_doc(_type, default), do: " Defaults to `#{inspect(default)}`."

  defp bytes(n) when rem(n, @mib) == 0, do: "#{div(n, @mib)} MiB"
  defp bytes(n) when rem(n, @kib) == 0, do: "#{div(n, @kib)} KiB"
  defp bytes(n), do: "#{n} bytes"

  defp check_unique!(names) do
    case names -- Enum.uniq(names) do
      [] -> :ok
      [name | _more] -> raise ArgumentError, "option #{inspect(name)} is given more than once"
    end
  end

  defp unknown(:at, _schema, schema_name)
       when schema_name in [
              :mutation,
              :create_table,
              :put_vertex,
              :put_edge,
              :delete_edge,
              :contract
            ] do
    "mutations take no :at; bind the table: Rhizome.on(table, tx)"
  end

  defp unknown(name, schema, _schema_name) do
    "unknown option #{inspect(name)}; the options are #{inspect(Keyword.keys(schema))}"
  end

  # Mostly a key that was to come from somewhere and did not.
  defp check!(:key, name, nil) do
    raise ArgumentError, "option #{inspect(name)} must not be nil; leave the option away"
  end

  defp check!(type, name, value) do
    if valid?(type, value) do
      value
    else
      raise ArgumentError,
            "option #{inspect(name)} must be #{accepts(type)}, got: #{inspect(value)}"
    end
  end

  defp valid?(type, _value) when type in [:any, :key], do: true
  defp valid?(:version, value), do: Version.is_version(value)
  # Where it is used it is looked at more closely.
  defp valid?(:condition, value), do: is_tuple(value)
  defp valid?(:list, value), do: is_list(value) and length_of(value) != nil
  defp valid?(:weight, value), do: value in [nil, :value] or match?({:key, _key}, value)
  defp valid?(:merge, {:put, _term}), do: true
  defp valid?(:merge, value), do: value in [:first, :count, :sum, :min, :max]
  defp valid?(:table, value), do: match?(%{type: :to_one, name: _}, value)
  defp valid?(:mode, {:write, table}), do: is_struct(table, Table)
  defp valid?(:mode, value), do: value in [:rows, :summary]
  defp valid?(:order, {column, way}), do: is_atom(column) and way in [:asc, :desc]

  defp valid?(:order, {column, way, n}),
    do: valid?(:order, {column, way}) and valid?(:positive, n)

  defp valid?(:order, _value), do: false
  defp valid?(:progress, value), do: is_function(value, 2)
  defp valid?(:group_name, value), do: is_function(value, 2)
  defp valid?(:function, value), do: is_function(value, 1)
  defp valid?(:from_seq, :now), do: true
  defp valid?(:from_seq, value), do: valid?(:seq, value)
  defp valid?(:seq, value), do: is_integer(value) and value in 0..@memory_bytes_max
  defp valid?(:snapshots, value), do: is_integer(value) and value in 1..@milliseconds_max
  defp valid?(:age, :infinity), do: true
  defp valid?(:age, value), do: is_integer(value) and value in 1..@milliseconds_max
  defp valid?(:boolean, value), do: is_boolean(value)
  defp valid?(:positive, value), do: is_integer(value) and value > 0
  defp valid?(:non_negative, value), do: is_integer(value) and value >= 0
  defp valid?(:page, value), do: is_integer(value) and value in 1..@page_max
  defp valid?(:position, value), do: is_integer(value) and abs(value) <= @position_max
  defp valid?(:milliseconds, value), do: is_integer(value) and value in 0..@milliseconds_max
  defp valid?(:bytes, value), do: is_integer(value) and value > 0
  defp valid?(:bytes_or_infinity, :infinity), do: true
  defp valid?(:bytes_or_infinity, value), do: is_integer(value) and value in 1..@memory_bytes_max
  defp valid?(:frame_bytes, value), do: is_integer(value) and value in @frame_bytes
  defp valid?(:busy_wait, value), do: is_integer(value) and value in 0..10_000
  defp valid?(:timeout, :infinity), do: true
  defp valid?(:timeout, value), do: is_integer(value) and value in 0..@timeout_max
  defp valid?(:path, value), do: is_binary(value)
  defp valid?(:text, value), do: is_binary(value)
  defp valid?(:directory, nil), do: true
  defp valid?(:directory, value) when is_binary(value) or is_list(value), do: directory?(value)
  defp valid?(:directory, _value), do: false
  defp valid?(:segment_bytes, value), do: is_integer(value) and value in @segment_bytes
  defp valid?(:sync, {:interval, ms}), do: is_integer(ms) and ms in @interval_ms
  defp valid?(:sync, value), do: value in [:always, :none]

  defp valid?(:checkpoint, value) do
    Keyword.keyword?(value) and Keyword.keys(value) == Enum.uniq(Keyword.keys(value)) and
      Enum.all?(value, &checkpoint?/1)
  end

  defp valid?({:in, values}, value), do: value in values
  defp valid?(:reference, {_table, on_delete}), do: on_delete in [:restrict, :evict]
  defp valid?(:reference, _value), do: false
  defp valid?(:name, name) when is_atom(name), do: name not in [nil, true, false]
  defp valid?(:name, {:global, _term}), do: true
  defp valid?(:name, {:via, module, _term}), do: is_atom(module)
  defp valid?(:name, _name), do: false

  # nil of an improper one.
  defp length_of(list) do
    length(list)
  rescue
    _error in ArgumentError -> nil
  end

  defp directory?(path) do
    path = IO.chardata_to_string(path)
    path != "" and not String.contains?(path, <<0>>)
  rescue
    _error in [ArgumentError, UnicodeConversionError] -> false
  end

  defp checkpoint?({:ratio, ratio}), do: ratio == :never or (is_number(ratio) and ratio > 0)
  defp checkpoint?({:min_bytes, n}), do: is_integer(n) and n in 0..@memory_bytes_max
  defp checkpoint?({:at_stop, at_stop}), do: is_boolean(at_stop)
  defp checkpoint?(_other), do: false

  defp accepts(:directory), do: "the path of a directory, or nil"
  defp accepts(:segment_bytes), do: "a number of bytes from 64 KiB to 512 MiB"
  defp accepts(:sync), do: ":always, {:interval, ms} with 1 to 3600000 ms, or :none"

  defp accepts(:checkpoint) do
    "a keyword list of ratio: (a number above 0 or :never), min_bytes: and at_stop: (a boolean)"
  end

  defp accepts(:version), do: "a snapshot, a fork or a transaction"
  defp accepts(:condition), do: "a Rhizome.Condition"
  defp accepts(:list), do: "a list"
  defp accepts(:weight), do: ":value, {:key, key} or nil"

  defp accepts(:merge) do
    "one of :first, :count, :sum, :min, :max and {:put, term}"
  end

  defp accepts(:table), do: "a table of type :to_one"
  defp accepts(:mode), do: ":rows, :summary or {:write, table}"
  defp accepts(:order), do: "{column, :asc}, {column, :desc} or {column, :desc, n}"
  defp accepts(:progress), do: "a function of two numbers"
  defp accepts(:group_name), do: "a function of a group and its members"
  defp accepts(:function), do: "a function of one element"
  defp accepts(:from_seq), do: "a seq, an integer from 0, or :now"
  defp accepts(:seq), do: "a seq, an integer from 0"
  defp accepts(:snapshots), do: "an integer from 1 to #{@milliseconds_max}"
  defp accepts(:age), do: "a number of milliseconds or :infinity, from 1 to #{@milliseconds_max}"
  defp accepts(:boolean), do: "a boolean"
  defp accepts(:positive), do: "a positive integer"
  defp accepts(:non_negative), do: "an integer of at least 0"
  defp accepts(:page), do: "an integer from 1 to #{@page_max}"
  defp accepts(:position), do: "an integer of at most 64 bits"
  defp accepts(:milliseconds), do: "a number of milliseconds, at most #{@milliseconds_max}"
  defp accepts(:bytes), do: "a positive number of bytes"
  defp accepts(:bytes_or_infinity), do: "a positive number of bytes or :infinity, below 2^63"
  defp accepts(:frame_bytes), do: "a number of bytes from 1 KiB to 1 GiB"
  defp accepts(:busy_wait), do: "a number of microseconds from 0 to 10000"
  defp accepts(:timeout), do: "a number of milliseconds or :infinity, at most #{@timeout_max}"
  defp accepts(:path), do: "a path"
  defp accepts(:text), do: "a string"
  defp accepts({:in, values}), do: "one of #{inspect(values)}"
  defp accepts(:reference), do: "{table, :restrict} or {table, :evict}"
  defp accepts(:name), do: "an atom, {:global, term} or {:via, module, term}"
end
