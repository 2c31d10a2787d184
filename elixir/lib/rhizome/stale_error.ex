defmodule Rhizome.StaleError do
  @moduledoc """
  A `Rhizome.Handle` was used whose store has moved on.

    * `:expected` - the seq of the state that the handle stands for.
    * `:seq` - the seq at which the store is; `nil` if that cannot be said.
    * `:store` - the store.

  Nothing was changed. `Rhizome.Handle.refresh/2` gives a handle of the present state.

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> h1 = Rhizome.Handle.new(primes)
      iex> Rhizome.insert!(primes, 2)
      iex> error = catch_error(Rhizome.Handle.insert(h1, 3))
      iex> {error.__struct__, error.expected, error.seq}
      {Rhizome.StaleError, 1, 2}

  """

  @enforce_keys [:expected, :seq, :store]
  defexception [:expected, :seq, :store]

  @type t :: %__MODULE__{
          expected: non_neg_integer(),
          seq: non_neg_integer() | nil,
          store: GenServer.server()
        }

  @impl true
  def message(%__MODULE__{seq: nil} = error) do
    "the handle stands for seq #{error.expected} of #{inspect(error.store)}, which was in " <>
      "memory only and was started again since; what the handle stands for is gone"
  end

  def message(%__MODULE__{} = error) do
    "the handle stands for seq #{error.expected} of #{inspect(error.store)}, which is at seq " <>
      "#{error.seq} by now; use the handle that the last mutation returned, or refresh it"
  end
end
