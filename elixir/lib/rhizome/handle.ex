defmodule Rhizome.Handle do
  @moduledoc """
  A table or view that behaves like a value: each mutation returns a new handle,
  and an old one cannot be used by mistake.

      iex> {:ok, store} = Rhizome.start_link()
      iex> h1 = Rhizome.Handle.new(Rhizome.create_table!(store, :owns, :one_to_many))
      iex> {:ok, h2} = Rhizome.Handle.put(h1, :ann, :sword)
      iex> {:ok, h3} = Rhizome.Handle.put(h2, :bob, :sword)
      iex> h3.result.evicted
      [{:ann, :sword}]
      iex> Enum.to_list(h3)
      [{:bob, :sword}]
      iex> catch_error(Rhizome.Handle.put(h2, :cid, :sword)).__struct__
      Rhizome.StaleError

  A store is mutable, and whoever keeps `Rhizome.Table` handles around sees it
  change under them. A `Rhizome.Handle` stands for **one state**: that of the
  whole store at its `:seq`. It either acts on exactly that state or raises
  `Rhizome.StaleError`, and it does so whoever has moved the store on, through
  whatever table. The daemon compares the seq and carries out the mutation in one
  step, so two processes that hold equal handles cannot both succeed.

  | field | |
  | --- | --- |
  | `:view` | the view that it shows |
  | `:seq` | the state that it stands for |
  | `:result` | what the mutation that made it has returned: a `Rhizome.Change`, an id, ids, or the results of a batch; `nil` of a new one |

  A mutation that fails (`{:error, %Rhizome.Error{}}`) and one that changes nothing
  leave the store at its seq, and the handle goes on to be good.

  ## Reading

  A read answers from the state that the handle stands for, or raises. It keeps
  nothing alive: an old state is gone with the next mutation. For one that stays
  readable, take a snapshot.

  A handle may be of a graph: `put_vertex/3`, `put_edge/4` and `run/3` write it, and
  `read/2` reads it.

  `get/4`, `count/2`, `to_list/2` and so on are as in `Rhizome`; `read/2` takes any
  function of a view; and a handle is `Enumerable`. A read is followed by a look at the
  seq, so it takes one request more than it would without a handle.

  ## When to use it

  Where one process at a time owns the store, a handle finds out if that is not
  so. Where many write at once, nearly each handle is stale by the time it is used:
  a transaction is the thing to use there, for it minds only what it has read.

  The handle of a store in memory only is bound to the running store: when that is
  started again the handle is stale, whatever seq the new one has come to.
  """

  alias Rhizome.Graph.Elements
  alias Rhizome.{Batch, Change, Client, Error, Op, Options, StaleError, Table, View}

  @enforce_keys [:view, :seq]
  defstruct [:view, :seq, :result, :instance]

  @type t :: %__MODULE__{
          view: View.t() | Rhizome.Graph.t(),
          seq: non_neg_integer(),
          result: Change.t() | term(),
          instance: pid() | nil
        }

  @typedoc "What mutations return. They raise `Rhizome.StaleError` if the handle is stale."
  @type result :: {:ok, t()} | {:error, Error.t()}

  # The most elements that one request of an enumeration asks for.
  @page_size 1_000

  ## Making them

  @doc """
  A handle of a table or view as it is now. Raises `Rhizome.Error`, as reads do.

      iex> {:ok, store} = Rhizome.start_link()
      iex> Rhizome.Handle.new(Rhizome.create_table!(store, :primes, :set)).seq
      1

  """
  @spec new(Rhizome.view(), keyword()) :: t()
  def new(view, options \\ []) do
    view = shown(view)
    check_head!(view)
    instance = instance(view.store)
    info = Rhizome.info(instance || view.store, options)

    # A store on the disk keeps its seqs when it is started again.
    %__MODULE__{view: view, seq: info.seq, instance: if(info.store_id == nil, do: instance)}
  end

  @doc """
  A handle of the same view as it is now, whatever has happened.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> h1 = Rhizome.Handle.new(primes)
      iex> Rhizome.insert!(primes, 2)
      iex> h1 |> Rhizome.Handle.refresh() |> Enum.to_list()
      [2]

  """
  @spec refresh(t(), keyword()) :: t()
  def refresh(%__MODULE__{view: view}, options \\ []), do: new(view, options)

  @doc """
  The same state seen through another table or view of the store. Asks nobody.

      iex> {:ok, store} = Rhizome.start_link()
      iex> [people, owns] =
      ...>   for {name, type} <- [people: :set, owns: :one_to_many],
      ...>       do: Rhizome.create_table!(store, name, type)
      iex> {:ok, h} = Rhizome.Handle.insert(Rhizome.Handle.new(people), :ann)
      iex> {:ok, h} = h |> Rhizome.Handle.focus(owns) |> Rhizome.Handle.put(:ann, :sword)
      iex> h |> Rhizome.Handle.focus(Rhizome.bwd(owns)) |> Rhizome.Handle.get(:sword)
      :ann

  """
  @spec focus(t(), Rhizome.view()) :: t()
  def focus(%__MODULE__{} = handle, view) do
    view = shown(view)
    check_head!(view)

    if Client.same?(view.store, handle.view.store) do
      %{handle | view: view, result: nil}
    else
      raise ArgumentError,
            "the handle is of store #{inspect(handle.view.store)} and the view of " <>
              inspect(view.store)
    end
  end

  ## Mutations

  @doc """
  `Rhizome.insert/3` through a handle.

      iex> {:ok, store} = Rhizome.start_link()
      iex> h = Rhizome.Handle.new(Rhizome.create_table!(store, :primes, :set))
      iex> {:ok, h} = Rhizome.Handle.insert(h, 2)
      iex> {h.result.outcome, h.seq}
      {:inserted, 2}

  """
  @spec insert(t(), Rhizome.element(), keyword()) :: result()
  def insert(handle, element, options \\ []) do
    mutate(handle, &Op.insert(&1, element), options)
  end

  @doc "`insert/3` that returns the handle or raises the error."
  @spec insert!(t(), Rhizome.element(), keyword()) :: t()
  def insert!(handle, element, options \\ []), do: unwrap!(insert(handle, element, options))

  @doc "`Rhizome.put/4` through a handle."
  @spec put(t(), key :: term(), partner :: term(), keyword()) :: result()
  def put(handle, key, partner, options \\ []) do
    mutate(handle, &Op.put(&1, key, partner), options)
  end

  @doc "`put/4` that returns the handle or raises the error."
  @spec put!(t(), key :: term(), partner :: term(), keyword()) :: t()
  def put!(handle, key, partner, options \\ []), do: unwrap!(put(handle, key, partner, options))

  @doc "`Rhizome.insert_new/3` through a handle."
  @spec insert_new(t(), Rhizome.element(), keyword()) :: result()
  def insert_new(handle, element, options \\ []) do
    mutate(handle, &Op.insert_new(&1, element), options)
  end

  @doc "`insert_new/3` that returns the handle or raises the error."
  @spec insert_new!(t(), Rhizome.element(), keyword()) :: t()
  def insert_new!(handle, element, options \\ []) do
    unwrap!(insert_new(handle, element, options))
  end

  @doc "`Rhizome.put_new/4` through a handle."
  @spec put_new(t(), key :: term(), partner :: term(), keyword()) :: result()
  def put_new(handle, key, partner, options \\ []) do
    mutate(handle, &Op.put_new(&1, key, partner), options)
  end

  @doc "`put_new/4` that returns the handle or raises the error."
  @spec put_new!(t(), key :: term(), partner :: term(), keyword()) :: t()
  def put_new!(handle, key, partner, options \\ []) do
    unwrap!(put_new(handle, key, partner, options))
  end

  @doc "`Rhizome.insert_all/3` through a handle. `Enum.into/2` does it 1,000 at a time."
  @spec insert_all(t(), Enumerable.t(), keyword()) :: result()
  def insert_all(handle, elements, options \\ []) do
    mutate(handle, &Op.insert_all(&1, elements), options)
  end

  @doc "`insert_all/3` that returns the handle or raises the error."
  @spec insert_all!(t(), Enumerable.t(), keyword()) :: t()
  def insert_all!(handle, elements, options \\ []) do
    unwrap!(insert_all(handle, elements, options))
  end

  @doc "`Rhizome.delete/3` through a handle."
  @spec delete(t(), Rhizome.element(), keyword()) :: result()
  def delete(handle, element, options \\ []) do
    mutate(handle, &Op.delete(&1, element), options)
  end

  @doc "`delete/3` that returns the handle or raises the error."
  @spec delete!(t(), Rhizome.element(), keyword()) :: t()
  def delete!(handle, element, options \\ []), do: unwrap!(delete(handle, element, options))

  @doc "`Rhizome.delete_all/3` through a handle."
  @spec delete_all(t(), Enumerable.t(), keyword()) :: result()
  def delete_all(handle, elements, options \\ []) do
    mutate(handle, &Op.delete_all(&1, elements), options)
  end

  @doc "`delete_all/3` that returns the handle or raises the error."
  @spec delete_all!(t(), Enumerable.t(), keyword()) :: t()
  def delete_all!(handle, elements, options \\ []) do
    unwrap!(delete_all(handle, elements, options))
  end

  @doc "`Rhizome.delete_key/3` through a handle."
  @spec delete_key(t(), key :: term(), keyword()) :: result()
  def delete_key(handle, key, options \\ []) do
    mutate(handle, &Op.delete_key(&1, key), options)
  end

  @doc "`delete_key/3` that returns the handle or raises the error."
  @spec delete_key!(t(), key :: term(), keyword()) :: t()
  def delete_key!(handle, key, options \\ []), do: unwrap!(delete_key(handle, key, options))

  @doc """
  `Rhizome.insert_row/3` through a handle, whose `:result` is the id.

      iex> {:ok, store} = Rhizome.start_link()
      iex> h = Rhizome.Handle.new(Rhizome.create_table!(store, :items, :pom))
      iex> {:ok, h} = Rhizome.Handle.insert_row(h, "sword")
      iex> Rhizome.Handle.get(h, h.result)
      "sword"

  """
  @spec insert_row(t(), value :: term(), keyword()) :: result()
  def insert_row(handle, value, options \\ []) do
    mutate(handle, &Op.insert_row(&1, value), options)
  end

  @doc "`insert_row/3` that returns the handle or raises the error."
  @spec insert_row!(t(), value :: term(), keyword()) :: t()
  def insert_row!(handle, value, options \\ []), do: unwrap!(insert_row(handle, value, options))

  @doc "`Rhizome.insert_rows/3` through a handle, whose `:result` are the ids."
  @spec insert_rows(t(), Enumerable.t(), keyword()) :: result()
  def insert_rows(handle, values, options \\ []) do
    mutate(handle, &Op.insert_rows(&1, values), options)
  end

  @doc "`insert_rows/3` that returns the handle or raises the error."
  @spec insert_rows!(t(), Enumerable.t(), keyword()) :: t()
  def insert_rows!(handle, values, options \\ []) do
    unwrap!(insert_rows(handle, values, options))
  end

  @doc "`Rhizome.update_row/4` through a handle."
  @spec update_row(t(), id :: pos_integer(), value :: term(), keyword()) :: result()
  def update_row(handle, id, value, options \\ []) do
    mutate(handle, &Op.update_row(&1, id, value), options)
  end

  @doc "`update_row/4` that returns the handle or raises the error."
  @spec update_row!(t(), id :: pos_integer(), value :: term(), keyword()) :: t()
  def update_row!(handle, id, value, options \\ []) do
    unwrap!(update_row(handle, id, value, options))
  end

  @doc "`Rhizome.delete_row/3` through a handle."
  @spec delete_row(t(), id :: pos_integer(), keyword()) :: result()
  def delete_row(handle, id, options \\ []), do: mutate(handle, &Op.delete_row(&1, id), options)

  @doc "`delete_row/3` that returns the handle or raises the error."
  @spec delete_row!(t(), id :: pos_integer(), keyword()) :: t()
  def delete_row!(handle, id, options \\ []), do: unwrap!(delete_row(handle, id, options))

  @doc """
  `Rhizome.Graph.put_vertex/3` through a handle of a graph.

      iex> {:ok, store} = Rhizome.start_link()
      iex> h = Rhizome.Handle.new(Rhizome.create_table!(store, :g, :graph))
      iex> {:ok, h} = Rhizome.Handle.put_vertex(h, :ann, value: 31)
      iex> {:ok, h} = Rhizome.Handle.put_edge(h, :ann, :bob, label: :knows)
      iex> Rhizome.Handle.read(h, &Rhizome.Graph.out_neighbors(&1, :ann))
      [:bob]

  """
  @spec put_vertex(t(), term(), keyword()) :: result()
  def put_vertex(handle, vertex, options \\ []) do
    {own, options} = split(options, [:value, :labels], :vertex)
    mutate(handle, &Op.put_vertex(&1, vertex, own), options)
  end

  @doc "`put_vertex/3` that returns the handle or raises the error."
  @spec put_vertex!(t(), term(), keyword()) :: t()
  def put_vertex!(handle, vertex, options \\ []) do
    unwrap!(put_vertex(handle, vertex, options))
  end

  @doc "`Rhizome.Graph.delete_vertex/3` through a handle of a graph."
  @spec delete_vertex(t(), term(), keyword()) :: result()
  def delete_vertex(handle, vertex, options \\ []) do
    mutate(handle, &Op.delete_vertex(&1, vertex), options)
  end

  @doc "`delete_vertex/3` that returns the handle or raises the error."
  @spec delete_vertex!(t(), term(), keyword()) :: t()
  def delete_vertex!(handle, vertex, options \\ []) do
    unwrap!(delete_vertex(handle, vertex, options))
  end

  @doc "`Rhizome.Graph.put_edge/4` through a handle of a graph."
  @spec put_edge(t(), term(), term(), keyword()) :: result()
  def put_edge(handle, from, to, options \\ []) do
    {own, options} = split(options, [:value, :label], :edge)
    mutate(handle, &Op.put_edge(&1, from, to, own), options)
  end

  @doc "`put_edge/4` that returns the handle or raises the error."
  @spec put_edge!(t(), term(), term(), keyword()) :: t()
  def put_edge!(handle, from, to, options \\ []) do
    unwrap!(put_edge(handle, from, to, options))
  end

  @doc "`Rhizome.Graph.delete_edge/4` through a handle of a graph."
  @spec delete_edge(t(), term(), term(), keyword()) :: result()
  def delete_edge(handle, from, to, options \\ []) do
    {own, options} = split(options, [:label], :edge_label)
    mutate(handle, &Op.delete_edge(&1, from, to, own), options)
  end

  @doc "`delete_edge/4` that returns the handle or raises the error."
  @spec delete_edge!(t(), term(), term(), keyword()) :: t()
  def delete_edge!(handle, from, to, options \\ []) do
    unwrap!(delete_edge(handle, from, to, options))
  end

  @doc "`Rhizome.clear/2` of the handle's table."
  @spec clear(t(), keyword()) :: result()
  def clear(handle, options \\ []) do
    mutate(
      handle,
      fn
        %Table{} = graph ->
          Op.clear(graph)

        view ->
          view = View.check_whole!(view, "clear")
          Op.clear(%Table{store: view.store, name: view.table, type: view.type})
      end,
      options
    )
  end

  @doc "`clear/2` that returns the handle or raises the error."
  @spec clear!(t(), keyword()) :: t()
  def clear!(handle, options \\ []), do: unwrap!(clear(handle, options))

  @doc """
  Carries out a `Rhizome.Batch`, on whatever tables of the store: `Rhizome.run/3`
  through a handle, whose `:result` is the list of results.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> batch = Rhizome.Batch.new() |> Rhizome.Batch.insert(primes, 2) |> Rhizome.Batch.insert(primes, 3)
      iex> {:ok, h} = Rhizome.Handle.run(Rhizome.Handle.new(primes), batch)
      iex> for change <- h.result, do: change.outcome
      [:inserted, :inserted]

  """
  @spec run(t(), Batch.t(), keyword()) :: result()
  def run(%__MODULE__{} = handle, batch, options \\ []) do
    Batch.check_store!(batch, handle.view.store)

    case Batch.ops(batch) do
      [] ->
        check!(handle, validate!(options)[:timeout])
        {:ok, %{handle | result: []}}

      ops ->
        mutate(handle, fn _view -> {:batch, ops} end, options)
    end
  end

  @doc "`run/3` that returns the handle or raises the error."
  @spec run!(t(), Batch.t(), keyword()) :: t()
  def run!(handle, batch, options \\ []), do: unwrap!(run(handle, batch, options))

  ## Reads

  @doc """
  Calls `fun` with the handle's view and returns what it returns, if all of it was
  read from the state that the handle stands for; raises otherwise.

      iex> {:ok, store} = Rhizome.start_link()
      iex> h = Rhizome.Handle.new(Rhizome.create_table!(store, :primes, :set))
      iex> h = Rhizome.Handle.insert_all!(h, [2, 3, 5, 7])
      iex> Rhizome.Handle.read(h, &{Rhizome.rank(&1, 5), Rhizome.next(&1, 5)})
      {2, 7}

  `fun` may read through the view as often as it likes. What it writes to the store
  makes the handle stale.
  """
  @spec read(t(), (View.t() -> result)) :: result when result: term()
  def read(%__MODULE__{} = handle, fun) when is_function(fun, 1) do
    try do
      fun.(bound(handle))
    rescue
      # That the store has moved on may be the reason, and then it is the news.
      error in Error ->
        check!(handle)
        reraise error, __STACKTRACE__
    else
      result ->
        check!(handle)
        result
    end
  end

  @doc "`Rhizome.get/4` through a handle."
  @spec get(t(), key :: term(), default, keyword()) :: term() | default when default: term()
  def get(handle, key, default \\ nil, options \\ []) do
    read(handle, &Rhizome.get(&1, key, default, options))
  end

  @doc "`Rhizome.fetch/3` through a handle."
  @spec fetch(t(), key :: term(), keyword()) :: {:ok, term()} | {:error, Error.t()}
  def fetch(handle, key, options \\ []) do
    read(handle, &Rhizome.fetch(&1, key, options))
  rescue
    error in Error -> {:error, error}
  end

  @doc "`fetch/3` that returns the value or raises the error."
  @spec fetch!(t(), key :: term(), keyword()) :: term()
  def fetch!(handle, key, options \\ []), do: unwrap!(fetch(handle, key, options))

  @doc "`Rhizome.member?/3` through a handle."
  @spec member?(t(), Rhizome.element(), keyword()) :: boolean()
  def member?(handle, element, options \\ []) do
    read(handle, &Rhizome.member?(&1, element, options))
  end

  @doc "`Rhizome.has_key?/3` through a handle."
  @spec has_key?(t(), key :: term(), keyword()) :: boolean()
  def has_key?(handle, key, options \\ []), do: read(handle, &Rhizome.has_key?(&1, key, options))

  @doc "`Rhizome.count/2` through a handle."
  @spec count(t(), keyword()) :: non_neg_integer()
  def count(handle, options \\ []), do: read(handle, &Rhizome.count(&1, options))

  @doc "`Rhizome.first/3` through a handle."
  @spec first(t(), default, keyword()) :: Rhizome.element() | default when default: term()
  def first(handle, default \\ nil, options \\ []) do
    read(handle, &Rhizome.first(&1, default, options))
  end

  @doc "`Rhizome.last/3` through a handle."
  @spec last(t(), default, keyword()) :: Rhizome.element() | default when default: term()
  def last(handle, default \\ nil, options \\ []) do
    read(handle, &Rhizome.last(&1, default, options))
  end

  @doc "`Rhizome.to_list/2` through a handle."
  @spec to_list(t(), keyword()) :: [Rhizome.element()]
  def to_list(handle, options \\ []), do: read(handle, &Rhizome.to_list(&1, options))

  # Page by page, each one of them from the state that the handle stands for.
  @doc false
  @spec stream(t()) :: Enumerable.t()
  def stream(%__MODULE__{view: %Table{}} = handle) do
    # The last look is for what comes when there is nothing more.
    handle
    |> bound()
    |> Elements.stream()
    |> Stream.chunk_every(@page_size)
    |> Stream.concat([[]])
    |> Stream.flat_map(fn elements ->
      check!(handle)
      elements
    end)
  end

  def stream(%__MODULE__{} = handle) do
    Stream.unfold(:first, fn
      nil ->
        nil

      cursor ->
        options = if cursor == :first, do: [], else: [cursor: cursor]
        page = read(handle, &Rhizome.page!(&1, [limit: @page_size] ++ options))
        {page.items, page.next}
    end)
    |> Stream.concat()
  end

  ## Helpers

  # A graph has no sides to be seen from.
  defp shown(%Table{type: :graph} = graph), do: graph
  defp shown(view), do: View.of(view)

  # What is said of the element, and the options of the mutation.
  defp split(options, own, schema) do
    {own, options} = Keyword.split(options, own)
    {Options.validate!(own, schema), options}
  end

  # What a version shows does not move, or by its own hand only.
  defp check_head!(%_shown{store: %module{}}) do
    raise ArgumentError,
          "a handle stands for a state of a store, and this is a view of a #{inspect(module)}"
  end

  defp check_head!(_view), do: :ok

  # The process that a store is now. One on another node is asked for it.
  defp instance(store) do
    with {_name, _node} <- Client.whereis!(store),
         {:ok, {pid, _holder}} <- Client.holder(store) do
      pid
    else
      pid when is_pid(pid) -> pid
      _none -> nil
    end
  end

  # The view as requests see it.
  defp bound(%__MODULE__{view: view, instance: nil}), do: view
  defp bound(%__MODULE__{view: view, instance: pid}), do: %{view | store: pid}

  # The seq is the handle's own.
  defp validate!(options) do
    if Keyword.keyword?(options), do: Enum.each(options, &check_option!/1)
    Keyword.validate!(options, [:idempotency_key, :timeout])
  end

  defp check_option!({:expect, _seq}) do
    raise ArgumentError,
          "a handle expects its own seq and takes no :expect; use Rhizome.put/4 and its like"
  end

  defp check_option!({:await, _await}) do
    raise ArgumentError,
          "a handle is what a mutation answers and takes no :await; it is for transactions"
  end

  defp check_option!({:at, _version}) do
    raise ArgumentError, "a handle stands for a state of a store itself, and takes no :at"
  end

  defp check_option!(_other), do: :ok

  defp mutate(%__MODULE__{} = handle, fun, options) do
    op = fun.(handle.view)

    case Rhizome.expecting(bound(handle), op, handle.seq, validate!(options)) do
      {:ok, result, seq} -> {:ok, %{handle | seq: seq, result: result}}
      {:error, %Error{code: :stale} = error} -> raise stale(handle, error.details[:seq])
      {:error, error} -> {:error, moved(error, handle)}
    end
  end

  defp mutate(other, _fun, _options) do
    raise ArgumentError, "expected a %Rhizome.Handle{}, got: #{inspect(other)}"
  end

  # A seq only grows. So whatever was read since the handle was made, and before
  # the store says that it is at this seq still, was read at this seq.
  defp check!(handle, timeout \\ nil) do
    case Client.request(bound(handle).store, {:info}, timeout) do
      {:ok, %{seq: seq}} when seq == handle.seq -> :ok
      {:ok, %{seq: seq}} -> raise stale(handle, seq)
      {:error, error} -> raise moved(error, handle)
    end
  end

  # The error, unless the truth is that the state went with the store that had it.
  defp moved(%Error{code: :stopped} = error, %{instance: pid} = handle) when is_pid(pid) do
    case Client.whereis!(handle.view.store) do
      now when now in [nil, pid] -> error
      _another -> raise stale(handle, nil)
    end
  end

  defp moved(error, _handle), do: error

  defp stale(handle, seq) do
    %StaleError{expected: handle.seq, seq: seq, store: handle.view.store}
  end

  defp unwrap!({:ok, result}), do: result
  defp unwrap!({:error, error}), do: raise(error)

  defimpl Enumerable do
    alias Rhizome.Graph.Elements
    alias Rhizome.{Handle, Table, View}

    def count(%{view: %Table{}} = handle), do: {:ok, Handle.read(handle, &Elements.count/1)}
    def count(handle), do: {:ok, Handle.count(handle)}

    def member?(%{view: %Table{}} = handle, element) do
      {:ok, Handle.read(handle, &Elements.member?(&1, element))}
    end

    def member?(handle, element) do
      {:ok, View.element?(handle.view, element) and Handle.member?(handle, element)}
    end

    def slice(_handle), do: {:error, __MODULE__}

    def reduce(handle, acc, fun), do: Enumerable.reduce(Handle.stream(handle), acc, fun)
  end

  defimpl Collectable do
    alias Rhizome.Graph.Elements
    alias Rhizome.Handle

    @chunk 1_000

    # A halt leaves what was written before it, as with a view.
    def into(handle) do
      collector = fn
        {handle, count, elements}, {:cont, element} when count + 1 < @chunk ->
          {handle, count + 1, [element | elements]}

        {handle, _count, elements}, {:cont, element} ->
          {write(handle, [element | elements]), 0, []}

        {handle, _count, elements}, :done ->
          write(handle, elements)

        _acc, :halt ->
          :ok
      end

      {{handle, 0, []}, collector}
    end

    defp write(handle, []), do: handle

    defp write(%{view: %{type: :graph}} = handle, elements) do
      Handle.run!(handle, Elements.batch(handle.view, Enum.reverse(elements)))
    end

    defp write(%{view: %{type: :pom}} = handle, values) do
      Handle.insert_rows!(handle, Enum.reverse(values))
    end

    defp write(handle, elements), do: Handle.insert_all!(handle, Enum.reverse(elements))
  end

  defimpl Inspect do
    def inspect(handle, _options) do
      "#Rhizome.Handle<#{Rhizome.View.describe(handle.view)}, seq #{handle.seq}, " <>
        "#{Kernel.inspect(handle.view.store)}>"
    end
  end
end
