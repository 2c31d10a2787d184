defmodule Rhizome.Change do
  @moduledoc """
  What a mutation did: its outcome and all that it evicted.

    * `:outcome` - one of `:inserted`, `:exists`, `:deleted`, `:absent`,
      `:updated`, `:contracted`, or how many for the functions that take many.
    * `:count` - how many elements were inserted, updated or deleted: the
      outcome as a number. Elements that an insert evicted are not in it.
    * `:evicted` - all that left this table, in the order in which it went, as
      its view shows it: pairs with the key first, `{key, old_value}` of rows.
      What a delete was asked to delete is in it. `Rhizome.clear/2` only counts. Of a graph they
      are its elements.
    * `:cascade` - `{table, elements}` for each other table from which elements
      were removed because they refer to something that is gone; after
      `Rhizome.clear/2` it is `{table, count}`.

  For example, the second person to get a single-owner item takes it from the first:

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.put!(owns, :ann, :sword)
      iex> change = Rhizome.put!(owns, :bob, :sword)
      iex> change.evicted
      [{:ann, :sword}]

  """

  @enforce_keys [:outcome, :count]
  defstruct [:outcome, :count, evicted: [], cascade: []]

  @type outcome ::
          :inserted
          | :exists
          | :deleted
          | :absent
          | :updated
          | :contracted
          | non_neg_integer()

  @type t :: %__MODULE__{
          outcome: outcome(),
          count: non_neg_integer(),
          evicted: [term()],
          cascade: [{table :: term(), [term()] | non_neg_integer()}]
        }

  @doc false
  def new({outcome, evicted, cascade}) do
    %__MODULE__{outcome: outcome, count: count(outcome), evicted: evicted, cascade: cascade}
  end

  defp count(outcome) when is_integer(outcome), do: outcome
  defp count(outcome) when outcome in [:inserted, :deleted, :updated, :contracted], do: 1
  defp count(outcome) when outcome in [:exists, :absent], do: 0
end
