defmodule Rhizome.Graph.Algorithms do
  alias Rhizome.{Client, Error, Op, Options, Scan, Snapshot, Table, Version}
  alias Rhizome.Graph.{Catalogue, Projection, Result, Source}

  require Version

  @moduledoc """
  Algorithms over whole graphs, run by the daemon on arrays beside everything else.

      iex> {:ok, store} = Rhizome.start_link()
      iex> links = Rhizome.create_table!(store, :links, :graph)
      iex> Rhizome.Graph.put_edges!(links, [{:a, :b}, {:b, :c}, {:c, :a}, {:d, :a}])
      iex> {:ok, ranks} = Rhizome.Graph.Algorithms.page_rank(links)
      iex> {best, _score} = Enum.max_by(ranks, fn {_vertex, score} -> score end)
      iex> best
      :a

  Each function here runs one algorithm, and is `Rhizome.Graph.run/3` with its name. All take
  a graph, a table of pairs or a path of them (`t:Rhizome.Graph.source/0`), in the store or in
  a version of it, or a `Rhizome.Graph.Projection`.

  ## What comes back

  The option `:mode` says what:

    * `:rows`, the default: `{:ok, result}`, a `Rhizome.Graph.Result`, whose rows
      are read as they are needed.
    * `:summary`: `{:ok, figures}`, a map of the numbers that sum it up. Nothing is kept.
    * `{:write, table}`: the rows are inserted into a table of the store, too:
      `{:ok, figures}`, with `:written`.

          iex> {:ok, store} = Rhizome.start_link()
          iex> links = Rhizome.create_table!(store, :links, :graph)
          iex> Rhizome.Graph.put_edges!(links, [{:a, :b}, {:c, :d}])
          iex> component = Rhizome.create_table!(store, :component, :to_one)
          iex> {:ok, figures} = Rhizome.Graph.Algorithms.wcc(links, mode: {:write, component})
          iex> {figures.components, figures.written, Rhizome.count(component)}
          {2, 4, 4}

  ## Rows into tables

  Into a `:to_one` or a table of pairs each row goes as `{vertex, column}`, with its first
  column alone, and pairs with a `nil` in them are left out. Into a `:set` it goes as it is, or,
  where its only column is a boolean, as its vertex if that is true.

  What was in the table stays if the rows do not replace it, unless `clear: true` empties it when
  the run is done.

  Nothing of the rows comes to the VM, if the table is in the store itself. Then it is written in
  many commits, of 10,000 rows each, and the clearing is one, too: others may see a part of them,
  and an error or the end of this process leaves a part. For all or nothing write to a table of a
  fork or a transaction. There the rows pass through the VM, a page at a time.

      iex> {:ok, store} = Rhizome.start_link()
      iex> links = Rhizome.create_table!(store, :links, :graph)
      iex> Rhizome.Graph.put_edges!(links, [{:a, :b}, {:c, :d}])
      iex> component = Rhizome.create_table!(store, :component, :to_one)
      iex> {:ok, 4} = Rhizome.transaction(store, fn tx ->
      ...>   mode = {:write, Rhizome.on(component, tx)}
      ...>   Rhizome.Graph.Algorithms.wcc!(links, mode: mode, clear: true).written
      ...> end)
      iex> Rhizome.count(component)
      4

  ## What it takes

  The graph is first made into a projection, unless one is there that is still
  current. `Rhizome.Graph.estimate/3` says how much memory that and the run will need. A run takes
  `:max_memory` at most, ends at its `:timeout` (`:infinity` unless it is given) and
  when the process that called dies, and then gives everything back. `threads: 2` lets
  two threads take part in it, and `progress: fn done, total -> ... end` is told how far it is. If
  that function raises, throws or exits, the run is cancelled, and it goes on to the caller.
  `running/2` tells anybody how far it is, and `cancel/3` ends it from anywhere.

  ## Options of all

  #{Options.docs(:run)}

  ## Algorithms

  The names are those of Neo4j's Graph Data Science library, where that has one. BFS, PageRank,
  WCC, CDLP, LCC and SSSP are what LDBC Graphalytics defines.

  #{Catalogue.table()}
  """

  # The options that are not the algorithm's own.
  @own [
    :mode,
    :clear,
    :threads,
    :progress,
    :order,
    :direction,
    :labels,
    :vertex_labels,
    :weighted,
    :at,
    :timeout,
    :max_memory
  ]

  # What a run may take where nobody says: all that the store's own limit leaves.
  @memory_max 0x3FFF_FFFF_FFFF_FFFF

  # Rows in one request of a write.
  @write_rows 10_000

  for %{name: name, required: required} = algorithm <- Catalogue.all() do
    if required == [] do
      @doc Catalogue.docs(algorithm)
      @spec unquote(name)(Rhizome.Graph.source() | Projection.t(), keyword()) ::
              Rhizome.result(Result.t() | map())
      def unquote(name)(source, options \\ []), do: run(source, unquote(name), options)

      @doc "`#{name}/2` that returns the result or raises the error."
      @spec unquote(:"#{name}!")(Rhizome.Graph.source() | Projection.t(), keyword()) ::
              Result.t() | map()
      def unquote(:"#{name}!")(source, options \\ []) do
        unwrap!(run(source, unquote(name), options))
      end
    else
      @doc Catalogue.docs(algorithm)
      @spec unquote(name)(Rhizome.Graph.source() | Projection.t(), keyword()) ::
              Rhizome.result(Result.t() | map())
      def unquote(name)(source, options), do: run(source, unquote(name), options)

      @doc "`#{name}/2` that returns the result or raises the error."
      @spec unquote(:"#{name}!")(Rhizome.Graph.source() | Projection.t(), keyword()) ::
              Result.t() | map()
      def unquote(:"#{name}!")(source, options), do: unwrap!(run(source, unquote(name), options))
    end
  end

  @doc """
  What the daemon can run: a list of maps of a `:name`, its `:parameters` (with their types, bounds and
  defaults), `:weights`, whether it knows what to do with them, and `:columns`: what the elements of a
  row are, in their order, and so by what `:order` can put rows. Those of weights are left out of
  rows without any, and those of other rows that a parameter asks for.

      iex> {:ok, store} = Rhizome.start_link()
      iex> list = Rhizome.Graph.Algorithms.list(store)
      iex> Enum.find(list, &(&1.name == :page_rank)).columns
      [:vertex, :rank]

  """
  @spec list(Rhizome.store(), keyword()) :: [map()]
  def list(store, options \\ []) do
    options = Options.validate!(options, :call)
    unwrap!(Client.request(store, {:algorithms}, options[:timeout]))
  end

  @doc """
  The runs that are under way, of whatever process: a list of maps of an `:id`, the `:algorithm`,
  its `:source`, how much is `:done` of a `:total` (0 if that is not known), and for how many `:ms`
  it has been running.

      iex> {:ok, store} = Rhizome.start_link()
      iex> Rhizome.Graph.Algorithms.running(store)
      []

  """
  @spec running(Rhizome.store(), keyword()) :: [map()]
  def running(store, options \\ []) do
    options = Options.validate!(options, :call)
    unwrap!(Client.request(store, {:running}, options[:timeout]))
  end

  @doc """
  Ends a run of whatever process, by the `:id` that `running/2` gives. It answers `:cancelled`,
  and the run fails with that code, soon; or `:absent`, if there is none any more.

      iex> {:ok, store} = Rhizome.start_link()
      iex> for run <- Rhizome.Graph.Algorithms.running(store),
      ...>     run.ms > 60_000,
      ...>     do: Rhizome.Graph.Algorithms.cancel(store, run.id)
      []

  """
  @spec cancel(Rhizome.store(), id :: non_neg_integer(), keyword()) :: :cancelled | :absent
  def cancel(store, id, options \\ []) do
    unless is_integer(id) and id >= 0 do
      raise ArgumentError, "expected the :id of a run, got: #{inspect(id)}"
    end

    options = Options.validate!(options, :call)
    unwrap!(Client.request(store, {:cancel, id}, options[:timeout]))
  end

  @doc """
  Calls `fun` with the result of an algorithm, which is released behind it, and returns what
  it returns. Raises the error of the run.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :a}, {:c, :d}])
      iex> Rhizome.Graph.Algorithms.with_result(graph, :wcc, &Enum.count/1)
      4

  """
  @spec with_result(
          Rhizome.Graph.source() | Projection.t(),
          algorithm :: atom(),
          (Result.t() -> result),
          keyword()
        ) :: result
        when result: term()
  def with_result(source, algorithm, fun, options \\ []) when is_function(fun, 1) do
    result = unwrap!(run(source, algorithm, Keyword.put(options, :mode, :rows)))

    try do
      fun.(result)
    after
      Result.release(result)
    end
  end

  ## Runs

  @doc false
  def run(source, algorithm, options) do
    unless is_atom(algorithm) do
      raise ArgumentError, "an algorithm is an atom, got: #{inspect(algorithm)}"
    end

    {options, parameters} = split!(options)
    run = new(source, algorithm, options, parameters)

    case options do
      %{mode: {:write, table}} -> write(run, table, Map.get(options, :clear, false))
      %{clear: _} -> raise ArgumentError, "option :clear is for mode: {:write, table}"
      %{mode: :rows} -> rows(run)
      %{mode: :summary} -> summary(run)
    end
  end

  # What is not known here is a parameter of the algorithm, which the daemon checks.
  defp split!(options) do
    unless Keyword.keyword?(options) do
      raise ArgumentError, "options must be a keyword list, got: #{inspect(options)}"
    end

    {own, parameters} = Keyword.split(options, @own)

    case Keyword.keys(parameters) -- Enum.uniq(Keyword.keys(parameters)) do
      [] -> {Options.validate!(own, :run), Map.new(parameters)}
      [name | _more] -> raise ArgumentError, "option #{inspect(name)} is given more than once"
    end
  end

  defp new(source, algorithm, options, parameters) do
    config = options |> spec() |> Map.merge(parameters)

    config = for {name, value} <- Map.take(options, [:threads]), into: config, do: {name, value}

    limits = limits(options)

    {config, limits} =
      case options do
        %{progress: fun} -> {Map.put(config, :progress, true), Map.put(limits, :progress, fun)}
        _quiet -> {config, limits}
      end

    %{
      order: Map.get(options, :order, :none),
      source: Source.of_run(source, options),
      graph: graph_name(source),
      algorithm: algorithm,
      config: config,
      limits: limits,
      timeout: options.timeout
    }
  end

  defp limits(options), do: Map.put_new(Scan.limits(options), :memory, @memory_max)

  # Spec of the protocol: what differs from its defaults.
  defp spec(options) do
    for {name, value} <- Map.take(options, [:direction, :labels, :vertex_labels, :weighted]),
        {name, value} not in [direction: :out, weighted: false],
        into: %{},
        do: {name, value}
  end

  defp op(run, mode), do: {:run, run.algorithm, run.source.wire, run.config, mode}

  defp summary(run) do
    Client.read(run.source.target, op(run, :summary), run.limits, run.timeout)
  end

  defp rows(run) do
    {answer, digest, held} = keep(run, run.source.target)

    case {answer, held} do
      {{:ok, figures}, {owner, name}} ->
        {:ok, result(run, figures, digest, owner, name)}

      # Nobody knows whether it is there.
      {{:error, %Error{details: %{outcome: :unknown}} = error}, {owner, name}} ->
        Client.tell(owner, {:release_result, name})
        {:error, error}

      {{:error, error}, _held} ->
        {:error, error}
    end
  end

  defp result(run, figures, digest, owner, name) do
    {count, summary} = Map.pop(figures, :rows)
    {seq, summary} = Map.pop(summary, :seq)

    %Result{
      store: run.source.target,
      owner: owner,
      name: name,
      algorithm: run.algorithm,
      count: count,
      seq: seq,
      summary: summary,
      source: run.graph || run.source.wire,
      digest: digest,
      first_rows: match?({_column, _way, _limit}, run.order)
    }
  end

  # The answer, what the graph was like, and the name of the result with the store's
  # process. Both are asked for together; if the graph changes in between, the digest is
  # that of an older one, and so matches no other.
  defp keep(run, version) when Version.is_version(version) do
    case Client.holder(owner(version)) do
      {:ok, {owner, holder}} ->
        name = {holder, System.unique_integer([:positive])}

        case digest(run, version) do
          {:ok, digest} ->
            op = op(run, {:rows, name, run.order})

            answer =
              released_if_raised(owner, name, fn ->
                Client.read(version, op, run.limits, run.timeout)
              end)

            {answer, digest, {owner, name}}

          {:error, error} ->
            {{:error, error}, nil, nil}
        end

      {:error, error} ->
        {Version.answer({:error, error}), nil, nil}
    end
  end

  defp keep(run, store) do
    kept =
      Client.hold(store, fn owner, {holder, _number} = name ->
        first = [{digest_op(run), {:holder, holder}}]
        op = op(run, {:rows, name, run.order})

        asked =
          released_if_raised(owner, name, fn ->
            Client.ask_behind(owner, first, op, run.limits, run.timeout)
          end)

        {[before], answer} = asked
        {before, answer, {owner, name}}
      end)

    case kept do
      {{:ok, digest}, answer, held} -> {answer, if(run.graph, do: digest), held}
      # A graph that is not there, or no time: the run says so, too.
      {{:error, _error}, {:error, error}, held} -> {{:error, error}, nil, held}
      {{:error, error}, _answer, held} -> {{:error, error}, nil, held}
      {{:error, error}, nil} -> {{:error, error}, nil, nil}
    end
  end

  # What is told of progress may raise, and then nobody has the result.
  defp released_if_raised(owner, name, fun) do
    fun.()
  catch
    kind, reason ->
      Client.tell(owner, {:release_result, name})
      :erlang.raise(kind, reason, __STACKTRACE__)
  end

  defp owner(%{owner: owner}), do: owner
  defp owner(%{store: store}), do: store

  defp digest(%{graph: nil}, _version), do: {:ok, nil}
  defp digest(run, version), do: Client.request(version, digest_op(run), nil)

  defp digest_op(%{graph: nil}), do: {:ping}
  defp digest_op(%{graph: graph}), do: {:graph_digest, graph}

  defp graph_name(%Table{type: :graph, name: name}), do: name
  defp graph_name(_other), do: nil

  defp write(run, %Table{store: store} = table, clear?) do
    unless Client.same?(Version.store(store), Version.store(run.source.target)) do
      raise ArgumentError,
            "the table is of #{inspect(store)} and the graph of #{inspect(run.source.target)}"
    end

    if is_struct(store, Snapshot) do
      raise ArgumentError, "a snapshot is read-only, got: #{inspect(store)}"
    end

    with :ok <- check_writable(table),
         {:ok, result} <- rows(run) do
      try do
        with :ok <- clear(table, clear?),
             {:ok, written} <- write_rows(result, table) do
          figures = %{rows: result.count, seq: result.seq, written: written}
          {:ok, Map.merge(result.summary, figures)}
        end
      after
        Result.release(result)
      end
    end
  end

  # Before it is cleared, and before the work is done.
  defp check_writable(%Table{type: type, name: name}) when type in [:graph, :pom] do
    message = "rows are written to a set, a to_one or a table of pairs"
    {:error, Error.new(:wrong_table_type, message, %{table: name})}
  end

  defp check_writable(_table), do: :ok

  defp clear(_table, false), do: :ok

  defp clear(table, true) do
    with {:ok, _change} <- Rhizome.clear(table), do: :ok
  end

  # A version has its own requests, and takes the rows as any others.
  defp write_rows(result, %Table{store: version} = table) when Version.is_version(version) do
    result
    |> Result.stream(page_size: @write_rows)
    |> Stream.chunk_every(@write_rows)
    |> Enum.reduce_while({:ok, 0}, fn rows, {:ok, written} ->
      case Rhizome.insert_all(table, Enum.flat_map(rows, &element(&1, table.type))) do
        {:ok, change} -> {:cont, {:ok, written + change.count}}
        {:error, error} -> {:halt, {:error, error}}
      end
    end)
  rescue
    error in Error -> {:error, error}
  end

  defp write_rows(result, %Table{store: store, name: name}) do
    write_rows(result, store, name, 0, 0)
  end

  defp write_rows(%{count: count}, _store, _table, from, written) when from >= count do
    {:ok, written}
  end

  defp write_rows(result, store, table, from, written) do
    op = {:result_write, result.name, from, @write_rows, table}

    with {:ok, answer} <- Client.request(store, op, nil) do
      change = Op.result(op, answer)
      write_rows(result, store, table, from + @write_rows, written + change.count)
    end
  end

  # What a row is in a table, as {result_write, ...} in PROTOCOL.md has it.
  defp element(row, _type) when elem(row, 0) == nil, do: []
  defp element({vertex}, :set), do: [vertex]
  defp element({vertex, true}, :set), do: [vertex]
  defp element({_vertex, false}, :set), do: []
  defp element(row, :set), do: [row]
  defp element({vertex}, _type), do: [{vertex, true}]
  defp element(row, :to_one), do: [{elem(row, 0), elem(row, 1)}]
  defp element(row, _pairs) when elem(row, 1) == nil, do: []
  defp element(row, _pairs), do: [{elem(row, 0), elem(row, 1)}]

  ## Projections and estimates

  # The word for one without a name, on the wire and here.
  @doc false
  def project(_source, name, _options) when name in [nil, :none] do
    raise ArgumentError, "#{inspect(name)} is no name of a projection"
  end

  def project(source, name, options) do
    options = Options.validate!(options, :project)
    source = Source.new(source, options)
    op = {:project, name, source.wire, spec(options)}

    with {:ok, facts} <- Client.read(source.target, op, limits(options), options.timeout) do
      {:ok, projection(Version.store(source.target), Map.put(facts, :name, name))}
    end
  end

  defp projection(store, %{name: name} = facts) do
    facts = Map.take(facts, [:vertices, :edges, :bytes, :seq, :ms])
    struct!(Projection, Map.merge(facts, %{store: store, name: name}))
  end

  @doc false
  def projections(store, options) do
    options = Options.validate!(options, :call)
    unwrap!(list_projections(store, options))
  end

  defp list_projections(store, options) do
    with {:ok, all} <- Client.request(store, {:projections}, options[:timeout]) do
      {:ok,
       for facts <- all do
         case facts do
           %{name: :none} -> Map.merge(facts, %{name: nil, projection: nil})
           %{name: _name} -> Map.put(facts, :projection, projection(Version.store(store), facts))
         end
       end}
    end
  end

  @doc false
  def find_projection(store, name, options) do
    options = Options.validate!(options, :call)

    with {:ok, all} <- list_projections(store, options) do
      case for %{name: ^name, projection: %{} = projection} <- all, do: projection do
        [projection] -> {:ok, projection}
        [] -> {:error, Error.new(:no_projection, nil, %{key: name})}
      end
    end
  end

  @doc false
  def drop_projection(%Projection{store: store, name: name}, options) do
    drop_projection(store, name, options)
  end

  def drop_projection(other, options) when is_list(options) do
    raise ArgumentError,
          "expected a %Rhizome.Graph.Projection{}, or a store and a name, got: #{inspect(other)}"
  end

  @doc false
  def drop_projection(store, name, options) do
    options = Options.validate!(options, :call)

    with {:ok, _dropped_or_absent} <-
           Client.request(store, {:drop_projection, name}, options[:timeout]),
         do: :ok
  end

  @doc false
  def estimate(source, algorithm, options) do
    {options, parameters} = split!(options)
    run = new(source, algorithm, Map.delete(options, :progress), parameters)
    op = {:estimate, algorithm, run.source.wire, run.config}
    unwrap!(Client.read(run.source.target, op, run.limits, run.timeout))
  end

  defp unwrap!({:ok, result}), do: result
  defp unwrap!({:error, error}), do: raise(error)
end
