defmodule Rhizome.Batch do
  @moduledoc """
  Mutations to be carried out together: all or none, in one request.

      iex> {:ok, store} = Rhizome.start_link()
      iex> users = Rhizome.create_table!(store, :users, :to_one)
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> batch =
      ...>   Rhizome.Batch.new()
      ...>   |> Rhizome.Batch.put(users, :ann, "Ann")
      ...>   |> Rhizome.Batch.put(owns, :ann, :sword)
      iex> {:ok, [_user, change]} = Rhizome.run(store, batch)
      iex> change.outcome
      :inserted

  A batch is a value: it is built without a request, may be built anywhere and
  run more than once. `Rhizome.run/3` answers with one result per mutation, in
  order: what the function of the same name in `Rhizome` returns in `{:ok, _}`.
  If one fails none is carried out and the error says which, by its `:index`.
  """

  alias Rhizome.{Op, Options, Table, Version, View}

  defstruct ops: [], stores: []

  @opaque t :: %__MODULE__{ops: [tuple()], stores: [Rhizome.target()]}

  @doc """
  An empty batch.

      iex> Rhizome.Batch.new() |> Rhizome.Batch.size()
      0

  """
  @spec new() :: t()
  def new, do: %__MODULE__{}

  @doc """
  The number of mutations in a batch.

      iex> primes = Rhizome.handle(MyStore, :primes, :set)
      iex> Rhizome.Batch.new() |> Rhizome.Batch.insert_all(primes, [2, 3]) |> Rhizome.Batch.size()
      1

  """
  @spec size(t()) :: non_neg_integer()
  def size(%__MODULE__{ops: ops}), do: length(ops)

  @doc """
  Adds `Rhizome.insert/3`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> batch = Rhizome.Batch.insert(Rhizome.Batch.new(), primes, 2)
      iex> for _twice <- 1..2, [change] = Rhizome.run!(store, batch), do: change.outcome
      [:inserted, :exists]

  """
  @spec insert(t(), Rhizome.view(), term()) :: t()
  def insert(batch, view, element), do: add(batch, view, &Op.insert(&1, element))

  @doc """
  Adds `Rhizome.put/4`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> names = Rhizome.create_table!(store, :names, :to_one)
      iex> batch = Rhizome.Batch.put(Rhizome.Batch.new(), names, 1, "Ann")
      iex> [_change] = Rhizome.run!(store, batch)
      iex> Rhizome.get(names, 1)
      "Ann"

  """
  @spec put(t(), Rhizome.view(), term(), term()) :: t()
  def put(batch, view, key, partner), do: add(batch, view, &Op.put(&1, key, partner))

  @doc """
  Adds `Rhizome.insert_new/3`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_one)
      iex> batch =
      ...>   Rhizome.Batch.new()
      ...>   |> Rhizome.Batch.insert_new(owns, {:ann, :sword})
      ...>   |> Rhizome.Batch.insert_new(owns, {:bob, :sword})
      iex> for change <- Rhizome.run!(store, batch), do: change.outcome
      [:inserted, :exists]

  """
  @spec insert_new(t(), Rhizome.view(), term()) :: t()
  def insert_new(batch, view, element), do: add(batch, view, &Op.insert_new(&1, element))

  @doc """
  Adds `Rhizome.put_new/4`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> names = Rhizome.create_table!(store, :names, :to_one)
      iex> batch = Rhizome.Batch.put_new(Rhizome.Batch.new(), names, 1, "Ann")
      iex> for change <- Rhizome.run!(store, batch), do: change.outcome
      [:inserted]

  """
  @spec put_new(t(), Rhizome.view(), term(), term()) :: t()
  def put_new(batch, view, key, partner), do: add(batch, view, &Op.put_new(&1, key, partner))

  @doc """
  Adds `Rhizome.insert_all/3`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> batch = Rhizome.Batch.insert_all(Rhizome.Batch.new(), primes, [2, 3, 3])
      iex> [change] = Rhizome.run!(store, batch)
      iex> change.count
      2

  """
  @spec insert_all(t(), Rhizome.view(), Enumerable.t()) :: t()
  def insert_all(batch, view, elements), do: add(batch, view, &Op.insert_all(&1, elements))

  @doc """
  Adds `Rhizome.delete/3`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> batch =
      ...>   Rhizome.Batch.new()
      ...>   |> Rhizome.Batch.put(owns, :ann, :sword)
      ...>   |> Rhizome.Batch.delete(owns, {:ann, :sword})
      iex> for change <- Rhizome.run!(store, batch), do: change.outcome
      [:inserted, :deleted]

  """
  @spec delete(t(), Rhizome.view(), term()) :: t()
  def delete(batch, view, element), do: add(batch, view, &Op.delete(&1, element))

  @doc """
  Adds `Rhizome.delete_all/3`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5])
      iex> batch = Rhizome.Batch.delete_all(Rhizome.Batch.new(), primes, [3, 4, 5])
      iex> [change] = Rhizome.run!(store, batch)
      iex> change.count
      2

  """
  @spec delete_all(t(), Rhizome.view(), Enumerable.t()) :: t()
  def delete_all(batch, view, elements), do: add(batch, view, &Op.delete_all(&1, elements))

  @doc """
  Adds `Rhizome.delete_key/3`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.insert_all!(owns, [{:ann, :sword}, {:ann, :bow}])
      iex> [change] = Rhizome.run!(store, Rhizome.Batch.delete_key(Rhizome.Batch.new(), owns, :ann))
      iex> change.evicted
      [{:ann, :bow}, {:ann, :sword}]

  """
  @spec delete_key(t(), Rhizome.view(), term()) :: t()
  def delete_key(batch, view, key), do: add(batch, view, &Op.delete_key(&1, key))

  @doc """
  Adds `Rhizome.insert_row/3`. Its result is the id.

      iex> {:ok, store} = Rhizome.start_link()
      iex> items = Rhizome.create_table!(store, :items, :pom)
      iex> Rhizome.run!(store, Rhizome.Batch.insert_row(Rhizome.Batch.new(), items, "sword"))
      [1]

  """
  @spec insert_row(t(), Rhizome.view(), term()) :: t()
  def insert_row(batch, table, value), do: add(batch, table, &Op.insert_row(&1, value))

  @doc """
  Adds `Rhizome.insert_rows/3`. Its result is the list of the ids.

      iex> {:ok, store} = Rhizome.start_link()
      iex> items = Rhizome.create_table!(store, :items, :pom)
      iex> batch = Rhizome.Batch.insert_rows(Rhizome.Batch.new(), items, ["sword", "bow"])
      iex> Rhizome.run!(store, batch)
      [[1, 2]]

  """
  @spec insert_rows(t(), Rhizome.view(), Enumerable.t()) :: t()
  def insert_rows(batch, table, values), do: add(batch, table, &Op.insert_rows(&1, values))

  @doc """
  Adds `Rhizome.update_row/4`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> items = Rhizome.create_table!(store, :items, :pom)
      iex> id = Rhizome.insert_row!(items, "sword")
      iex> batch = Rhizome.Batch.update_row(Rhizome.Batch.new(), items, id, "axe")
      iex> [change] = Rhizome.run!(store, batch)
      iex> change.evicted
      [{1, "sword"}]

  """
  @spec update_row(t(), Rhizome.view(), pos_integer(), term()) :: t()
  def update_row(batch, table, id, value), do: add(batch, table, &Op.update_row(&1, id, value))

  @doc """
  Adds `Rhizome.delete_row/3`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> items = Rhizome.create_table!(store, :items, :pom)
      iex> Rhizome.insert_rows!(items, ["sword", "bow"])
      iex> batch = Rhizome.Batch.new() |> Rhizome.Batch.delete_row(items, 1)
      iex> [change] = Rhizome.run!(store, batch)
      iex> change.evicted
      [{1, "sword"}]

  """
  @spec delete_row(t(), Rhizome.view(), pos_integer()) :: t()
  def delete_row(batch, table, id), do: add(batch, table, &Op.delete_row(&1, id))

  @doc """
  Adds `Rhizome.Graph.put_vertex/3`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> batch =
      ...>   Rhizome.Batch.new()
      ...>   |> Rhizome.Batch.put_vertex(graph, :ann, value: 31, labels: [:person])
      ...>   |> Rhizome.Batch.put_edge(graph, :ann, :bob, label: :knows)
      iex> for change <- Rhizome.run!(store, batch), do: change.outcome
      [:inserted, :inserted]

  """
  @spec put_vertex(t(), Table.t(), term(), keyword()) :: t()
  def put_vertex(batch, graph, vertex, options \\ []) do
    push(batch, Op.put_vertex(graph, vertex, Options.validate!(options, :vertex)), [graph.store])
  end

  @doc "Adds `Rhizome.Graph.put_vertices/3`."
  @spec put_vertices(t(), Table.t(), Enumerable.t()) :: t()
  def put_vertices(batch, graph, vertices) do
    push(batch, Op.put_vertices(graph, vertices), [graph.store])
  end

  @doc "Adds `Rhizome.Graph.update_vertex/3`."
  @spec update_vertex(t(), Table.t(), term(), keyword()) :: t()
  def update_vertex(batch, graph, vertex, options \\ []) do
    push(batch, Op.update_vertex(graph, vertex, Options.validate!(options, :vertex)), [
      graph.store
    ])
  end

  @doc "Adds `Rhizome.Graph.delete_vertex/3`."
  @spec delete_vertex(t(), Table.t(), term()) :: t()
  def delete_vertex(batch, graph, vertex) do
    push(batch, Op.delete_vertex(graph, vertex), [graph.store])
  end

  @doc "Adds `Rhizome.Graph.delete_vertices/3`."
  @spec delete_vertices(t(), Table.t(), Enumerable.t()) :: t()
  def delete_vertices(batch, graph, vertices) do
    push(batch, Op.delete_vertices(graph, vertices), [graph.store])
  end

  @doc "Adds `Rhizome.Graph.put_edge/4`."
  @spec put_edge(t(), Table.t(), term(), term(), keyword()) :: t()
  def put_edge(batch, graph, from, to, options \\ []) do
    push(batch, Op.put_edge(graph, from, to, Options.validate!(options, :edge)), [graph.store])
  end

  @doc "Adds `Rhizome.Graph.put_edges/3`."
  @spec put_edges(t(), Table.t(), Enumerable.t()) :: t()
  def put_edges(batch, graph, edges), do: push(batch, Op.put_edges(graph, edges), [graph.store])

  @doc "Adds `Rhizome.Graph.update_edge/4`."
  @spec update_edge(t(), Table.t(), term(), term(), keyword()) :: t()
  def update_edge(batch, graph, from, to, options \\ []) do
    push(batch, Op.update_edge(graph, from, to, Options.validate!(options, :edge)), [graph.store])
  end

  @doc "Adds `Rhizome.Graph.delete_edge/4`."
  @spec delete_edge(t(), Table.t(), term(), term(), keyword()) :: t()
  def delete_edge(batch, graph, from, to, options \\ []) do
    push(batch, Op.delete_edge(graph, from, to, Options.validate!(options, :edge_label)), [
      graph.store
    ])
  end

  @doc "Adds `Rhizome.Graph.delete_edges/3`."
  @spec delete_edges(t(), Table.t(), Enumerable.t()) :: t()
  def delete_edges(batch, graph, edges) do
    push(batch, Op.delete_edges(graph, edges), [graph.store])
  end

  @doc "Adds `Rhizome.Graph.contract/4`."
  @spec contract(t(), Table.t(), term(), Enumerable.t(), keyword()) :: t()
  def contract(batch, graph, super_vertex, members, options \\ []) do
    options = Options.validate!(options, :contract_rules)
    push(batch, Op.contract(graph, super_vertex, members, options), [graph.store])
  end

  @doc "Adds `Rhizome.Graph.expand/3`."
  @spec expand(t(), Table.t(), term()) :: t()
  def expand(batch, graph, super_vertex) do
    push(batch, Op.expand(graph, super_vertex), [graph.store])
  end

  @doc """
  Adds `Rhizome.clear/2`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5])
      iex> [change] = Rhizome.run!(store, Rhizome.Batch.clear(Rhizome.Batch.new(), primes))
      iex> change.count
      3

  """
  @spec clear(t(), Table.t()) :: t()
  def clear(batch, table), do: push(batch, Op.clear(table), [table.store])

  @doc """
  Adds `Rhizome.drop_table/2`. Its result is `:dropped`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.run!(store, Rhizome.Batch.drop_table(Rhizome.Batch.new(), primes))
      [:dropped]

  """
  @spec drop_table(t(), Table.t()) :: t()
  def drop_table(batch, table), do: push(batch, Op.drop(table), [table.store])

  @doc """
  Adds `Rhizome.create_table/4`. Its result is `:created` or `:exists`.

  A handle for use in the same batch is made by `Rhizome.handle/3`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.handle(store, :primes, :set)
      iex> batch =
      ...>   Rhizome.Batch.new()
      ...>   |> Rhizome.Batch.create_table(:primes, :set)
      ...>   |> Rhizome.Batch.insert_all(primes, [2, 3])
      iex> [:created, change] = Rhizome.run!(store, batch)
      iex> change.count
      2

  """
  @spec create_table(t(), Table.name(), Table.type(), keyword()) :: t()
  def create_table(batch, name, type, options \\ []) do
    options = Op.validate_create!(options)
    push(batch, Op.create_table(name, type, options), Op.reference_stores(options))
  end

  # In the order in which they were added.
  @doc false
  @spec ops(t()) :: [tuple()]
  def ops(%__MODULE__{ops: ops}), do: Enum.reverse(ops)

  # All views must be of the store that runs the batch, by whichever of its
  # names they know it, or of the version that does.
  @doc false
  @spec check_store!(t(), GenServer.server()) :: :ok
  def check_store!(%__MODULE__{stores: stores}, store) do
    for other <- stores, not Version.fits?(other, store) do
      raise ArgumentError,
            "the batch holds a table of store #{inspect(other)} and is to run on #{inspect(store)}"
    end

    :ok
  end

  def check_store!(other, _store), do: no_batch!(other)

  defp add(batch, view, fun) do
    view = View.of(view)
    push(batch, fun.(view), [view.store])
  end

  # Nearly always the stores are the ones that are there already.
  defp push(%__MODULE__{ops: ops, stores: stores} = batch, op, stores) do
    %{batch | ops: [op | ops]}
  end

  defp push(%__MODULE__{ops: ops, stores: stores} = batch, op, more) do
    %{batch | ops: [op | ops], stores: Enum.uniq(more ++ stores)}
  end

  defp push(other, _op, _stores), do: no_batch!(other)

  defp no_batch!(other) do
    raise ArgumentError, "expected a %Rhizome.Batch{}, got: #{inspect(other)}"
  end

  defimpl Inspect do
    def inspect(batch, _options), do: "#Rhizome.Batch<#{Rhizome.Batch.size(batch)} mutations>"
  end
end
