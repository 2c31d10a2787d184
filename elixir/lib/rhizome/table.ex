defmodule Rhizome.Table do
  @moduledoc """
  A handle of a table, as `Rhizome.create_table/4` and `Rhizome.table/2` return it.

  It holds the names of the store and the table and the table's type, and
  nothing in the daemon: it stays valid when the daemon is restarted, and says
  `:no_table` until the table is there again. In the place of the store it may
  have a snapshot, a fork or a transaction of it (`Rhizome.on/2`).

  Wherever a view is expected a table stands for its fwd side, `Enum` and
  `Enum.into/2` included:

      iex> {:ok, store} = Rhizome.start_link()
      iex> tags = Rhizome.create_table!(store, :tags, :many_to_many)
      iex> Enum.into([{:post1, "elixir"}, {:post2, "elixir"}], tags)
      iex> Enum.map(tags, fn {post, _tag} -> post end)
      [:post1, :post2]

  ## Types

  | type | fwd side | bwd side | an insert evicts |
  | --- | --- | --- | --- |
  | `:pom` | id to value; ids are given out | | |
  | `:set` | sorted terms | | |
  | `:to_one` | key to one value | | the old value |
  | `:to_many` | key to many, sorted | | |
  | `:one_to_one` | A to one B | B to one A | the old pairs of both |
  | `:one_to_many` | A to many B | B to one A | the old pair of B |
  | `:many_to_one` | A to one B | B to many A | the old pair of A |
  | `:many_to_many` | A to many B | B to many A | |
  | `:graph` | vertices and edges; see `Rhizome.Graph` | | |

  A `:graph` has no sides, and the functions of views are not for it. `Enum` and
  `Enum.into/2` take its elements, which are those that `Rhizome.Graph` lists.
  """

  @types [
    :pom,
    :set,
    :to_one,
    :to_many,
    :one_to_one,
    :one_to_many,
    :many_to_one,
    :many_to_many,
    :graph
  ]

  @enforce_keys [:store, :name, :type]
  defstruct [:store, :name, :type]

  @typedoc "The name of a table: any term of at most 255 encoded bytes."
  @type name :: term()

  @type type ::
          :pom
          | :set
          | :to_one
          | :to_many
          | :one_to_one
          | :one_to_many
          | :many_to_one
          | :many_to_many
          | :graph

  @type t :: %__MODULE__{store: Rhizome.target(), name: name(), type: type()}

  @doc """
  The types of tables.

      iex> :many_to_one in Rhizome.Table.types()
      true

  """
  @spec types() :: [type()]
  def types, do: @types

  @doc false
  def check_type!(type) when type in @types, do: type

  def check_type!(type) do
    raise ArgumentError, "a table's type is one of #{inspect(@types)}, got: #{inspect(type)}"
  end

  @doc false
  def check!(%__MODULE__{} = table), do: table

  def check!(other) do
    raise ArgumentError, "expected a %Rhizome.Table{}, got: #{inspect(other)}"
  end

  @doc false
  def check_graph!(%__MODULE__{type: :graph} = table), do: table

  def check_graph!(other) do
    raise ArgumentError,
          "expected a %Rhizome.Table{} of type :graph, got: #{inspect(other)}"
  end
end
