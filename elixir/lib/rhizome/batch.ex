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

  alias Rhizome.{Op, Table, View}

  defstruct ops: [], stores: []

  @opaque t :: %__MODULE__{ops: [tuple()], stores: [GenServer.server()]}

  @doc """
  An empty batch.

      iex> Rhizome.Batch.new() |> Rhizome.Batch.size()
      0

  """
  @spec new() :: t()
  def new, do: %__MODULE__{}

  @doc "The number of mutations in a batch."
  @spec size(t()) :: non_neg_integer()
  def size(%__MODULE__{ops: ops}), do: length(ops)

  @doc "Adds `Rhizome.insert/3`."
  @spec insert(t(), Rhizome.view(), term()) :: t()
  def insert(batch, view, element), do: add(batch, view, &Op.insert(&1, element))

  @doc "Adds `Rhizome.put/4`."
  @spec put(t(), Rhizome.view(), term(), term()) :: t()
  def put(batch, view, key, partner), do: insert(batch, view, {key, partner})

  @doc "Adds `Rhizome.insert_all/3`."
  @spec insert_all(t(), Rhizome.view(), Enumerable.t()) :: t()
  def insert_all(batch, view, elements), do: add(batch, view, &Op.insert_all(&1, elements))

  @doc "Adds `Rhizome.delete/3`."
  @spec delete(t(), Rhizome.view(), term()) :: t()
  def delete(batch, view, element), do: add(batch, view, &Op.delete(&1, element))

  @doc "Adds `Rhizome.delete_all/3`."
  @spec delete_all(t(), Rhizome.view(), Enumerable.t()) :: t()
  def delete_all(batch, view, elements), do: add(batch, view, &Op.delete_all(&1, elements))

  @doc "Adds `Rhizome.delete_key/3`."
  @spec delete_key(t(), Rhizome.view(), term()) :: t()
  def delete_key(batch, view, key), do: add(batch, view, &Op.delete_key(&1, key))

  @doc "Adds `Rhizome.insert_row/3`."
  @spec insert_row(t(), Rhizome.view(), term()) :: t()
  def insert_row(batch, table, value), do: add(batch, table, &Op.insert_row(&1, value))

  @doc "Adds `Rhizome.insert_rows/3`."
  @spec insert_rows(t(), Rhizome.view(), Enumerable.t()) :: t()
  def insert_rows(batch, table, values), do: add(batch, table, &Op.insert_rows(&1, values))

  @doc "Adds `Rhizome.update_row/4`."
  @spec update_row(t(), Rhizome.view(), pos_integer(), term()) :: t()
  def update_row(batch, table, id, value), do: add(batch, table, &Op.update_row(&1, id, value))

  @doc "Adds `Rhizome.clear/2`."
  @spec clear(t(), Table.t()) :: t()
  def clear(batch, table), do: push(batch, Op.clear(table), table.store)

  @doc "Adds `Rhizome.drop_table/2`. Its result is `:dropped`."
  @spec drop_table(t(), Table.t()) :: t()
  def drop_table(batch, table), do: push(batch, Op.drop(table), table.store)

  @doc """
  Adds `Rhizome.create_table/4`. Its result is `:created` or `:exists`.

  A handle for use in the same batch is made by `Rhizome.handle/3`.
  """
  @spec create_table(t(), Table.name(), Table.type(), keyword()) :: t()
  def create_table(%__MODULE__{} = batch, name, type, options \\ []) do
    options = Op.validate_create!(Keyword.delete(options, :timeout))
    %{batch | ops: [Op.create_table(name, type, options) | batch.ops]}
  end

  # In the order in which they were added.
  @doc false
  @spec ops(t()) :: [tuple()]
  def ops(%__MODULE__{ops: ops}), do: Enum.reverse(ops)

  # All views must be of the store that runs the batch, by whichever of its
  # names they know it.
  @doc false
  @spec check_store!(t(), GenServer.server()) :: :ok
  def check_store!(%__MODULE__{stores: stores}, store) do
    for other <- stores, other != store, GenServer.whereis(other) != GenServer.whereis(store) do
      raise ArgumentError,
            "the batch holds a view of store #{inspect(other)} and is to run on #{inspect(store)}"
    end

    :ok
  end

  defp add(batch, view, fun) do
    view = View.of(view)
    push(batch, fun.(view), view.store)
  end

  defp push(%__MODULE__{ops: ops, stores: [store | _rest]} = batch, op, store) do
    %{batch | ops: [op | ops]}
  end

  defp push(%__MODULE__{ops: ops, stores: stores} = batch, op, store) do
    %{batch | ops: [op | ops], stores: [store | List.delete(stores, store)]}
  end

  defimpl Inspect do
    def inspect(batch, _options), do: "#Rhizome.Batch<#{Rhizome.Batch.size(batch)} mutations>"
  end
end
