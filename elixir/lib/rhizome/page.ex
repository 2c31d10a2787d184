defmodule Rhizome.Page do
  @moduledoc """
  Some consecutive items of a view and where to go on, from `Rhizome.page/2`.

    * `:items` - at most as many as were asked for.
    * `:next` - the `:cursor` of the next page, or `nil` on the last one. It
      holds nothing in the daemon and may be kept, sent and stored.
    * `:stopped` - the limit that ended the page before it was full: `:deadline`
      (the time was up), `:row_limit` (`:max_rows` were looked at) or
      `:memory_budget`; mostly `nil`. It may then have no items at all while there
      are more.

  A page sees the table as it is when it is asked for:

      iex> {:ok, store} = Rhizome.start_link()
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5, 7])
      iex> {:ok, page} = Rhizome.page(primes, limit: 2)
      iex> page.items
      [2, 3]
      iex> Rhizome.delete!(primes, 3)
      iex> {:ok, page} = Rhizome.page(primes, limit: 2, cursor: page.next)
      iex> page
      %Rhizome.Page{items: [5, 7], next: nil}

  """

  @enforce_keys [:items, :next]
  defstruct [:items, :next, :stopped]

  @typedoc "Where a page ended. Opaque, but an ordinary term."
  @type cursor :: term()
  @type stopped :: :deadline | :row_limit | :memory_budget | nil
  @type t :: %__MODULE__{items: [term()], next: cursor() | nil, stopped: stopped()}
end
