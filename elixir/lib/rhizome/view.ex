defmodule Rhizome.View do
  @moduledoc """
  A table seen in one direction, or the *held set* of one of its keys.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.insert_all!(owns, [{:ann, :sword}, {:ann, :bow}])
      iex> Rhizome.to_list(Rhizome.fwd(owns))
      [{:ann, :bow}, {:ann, :sword}]
      iex> Rhizome.to_list(Rhizome.bwd(owns))
      [{:bow, :ann}, {:sword, :ann}]
      iex> Rhizome.to_list(Rhizome.fwd(owns, :ann))
      [:bow, :sword]

  A view is one sorted sequence of elements, and it is live: it names what it
  shows and copies nothing. A held set exists before its key does and after the
  key is gone, and can be written like any other view.

  | view | element |
  | --- | --- |
  | `fwd(set)` | the key |
  | `fwd(pom)`, `fwd(to_one)` | `{key, value}` |
  | `fwd(pairs)`, `bwd(pairs)` | `{key, partner}`, the key first as seen from that side |
  | `fwd(pairs, key)`, `bwd(pairs, key)` | the partner |

  Views are `Enumerable` and `Collectable`. `Enum.count/1` and `in` take one
  request each; `Enum.at/2` and `Enum.slice/2` two, for they ask for the count
  first (`Rhizome.at/4` and `Rhizome.slice/4` do not).
  """

  alias Rhizome.Table

  @enforce_keys [:store, :table, :type, :side, :held]
  defstruct [:store, :table, :type, :side, :held]

  @type side :: :fwd | :bwd
  @type t :: %__MODULE__{
          store: Rhizome.target(),
          table: Table.name(),
          type: Table.type(),
          side: side(),
          held: :none | {:key, term()}
        }

  @pairs [:to_many, :one_to_one, :one_to_many, :many_to_one, :many_to_many]
  @two_sided [:one_to_one, :one_to_many, :many_to_one, :many_to_many]

  # Sides on which a key has at most one partner.
  @to_one [
    pom: :fwd,
    to_one: :fwd,
    one_to_one: :fwd,
    one_to_one: :bwd,
    one_to_many: :bwd,
    many_to_one: :fwd
  ]

  @doc false
  def side!(%Table{type: :graph} = table, _side) do
    raise ArgumentError,
          "#{describe(table)} has vertices and edges and no sides; use the functions of " <>
            "Rhizome.Graph"
  end

  def side!(%Table{type: type} = table, :bwd) when type not in @two_sided do
    raise ArgumentError,
          "#{describe(table)} has no bwd side; the types with two sides are #{inspect(@two_sided)}"
  end

  def side!(%Table{store: store, name: name, type: type}, side) do
    %__MODULE__{store: store, table: name, type: type, side: side, held: :none}
  end

  def side!(other, _side) do
    raise ArgumentError, "expected a %Rhizome.Table{}, got: #{inspect(other)}"
  end

  @doc false
  def held!(%Table{type: :graph} = table, side, _key), do: side!(table, side)

  def held!(%Table{type: type} = table, _side, _key) when type not in @pairs do
    hint = if type == :set, do: "member?/2", else: "get/2 or fetch/2"

    raise ArgumentError, "a key of #{describe(table)} has no set of partners; use #{hint}"
  end

  def held!(table, side, key), do: %{side!(table, side) | held: {:key, key}}

  # What the functions that take a view accept: a table is its fwd side.
  @doc false
  def of(%__MODULE__{} = view), do: view
  def of(%Table{} = table), do: side!(table, :fwd)

  def of(other) do
    raise ArgumentError,
          "expected a %Rhizome.Table{} or a %Rhizome.View{}, got: #{inspect(other)}"
  end

  # View of the protocol.
  @doc false
  def wire(%__MODULE__{held: :none, side: side}), do: side
  def wire(%__MODULE__{held: {:key, key}, side: side}), do: {side, key}

  # What an element is: :key, :row, :pair or :partner.
  @doc false
  def element_kind(%__MODULE__{held: {:key, _key}}), do: :partner
  def element_kind(%__MODULE__{type: :set}), do: :key
  def element_kind(%__MODULE__{type: type}) when type in [:pom, :to_one], do: :row
  def element_kind(%__MODULE__{}), do: :pair

  @doc false
  def element?(view, element) do
    element_kind(view) in [:key, :partner] or (is_tuple(element) and tuple_size(element) == 2)
  end

  @doc false
  def check_element!(view, element) do
    if element?(view, element) do
      element
    else
      shape = if element_kind(view) == :row, do: "{key, value}", else: "{key, partner}"

      raise ArgumentError,
            "an element of #{describe(view)} is #{shape}, got: #{inspect(element)}"
    end
  end

  # What says where an element stands: the element itself, or the key alone
  # where a key has one row. An id is never a tuple, so that is a mistake.
  @doc false
  def check_place!(view, element) do
    case element_kind(view) do
      :row when view.type == :pom and is_tuple(element) ->
        raise ArgumentError,
              "the place of a row of #{describe(view)} is its id alone, got: #{inspect(element)}"

      :row ->
        element

      _other ->
        check_element!(view, element)
    end
  end

  # A key alone says which row is meant, and is no element.
  @doc false
  def check_deletable!(view, element) do
    if element_kind(view) == :row and not element?(view, element) do
      instead = if view.type == :pom, do: "delete_row", else: "delete_key"

      raise ArgumentError,
            "an element of #{describe(view)} is {key, value}, got: #{inspect(element)}; " <>
              "use #{instead} to delete by key"
    else
      check_element!(view, element)
    end
  end

  @doc false
  def check_put!(view) do
    check_whole!(view, "put")

    if element_kind(view) == :key do
      raise ArgumentError,
            "put needs keys that have partners or values, and #{describe(view)} has none; " <>
              "use insert"
    else
      view
    end
  end

  @doc false
  def check_whole!(%__MODULE__{held: :none} = view, _function), do: view

  def check_whole!(view, function) do
    raise ArgumentError,
          "#{function} needs a side of a table, and #{describe(view)} is the set of one key"
  end

  @doc false
  def check_to_one!(view, function) do
    check_whole!(view, function)

    if {view.type, view.side} in @to_one do
      view
    else
      instead =
        if view.type == :set, do: "member?/2", else: "#{view.side}(table, key), the set of them"

      raise ArgumentError,
            "#{function} needs a side on which a key has at most one partner, and " <>
              "#{describe(view)} is none; use #{instead}"
    end
  end

  @doc false
  def check_type!(%{type: type} = view, types, function) do
    if type in types do
      view
    else
      raise ArgumentError,
            "#{function} needs a table of type #{Enum.map_join(types, " or ", &inspect/1)}, " <>
              "got: #{describe(view)}"
    end
  end

  # "the bwd side of :owns (one_to_many)": names and no data.
  @doc false
  def describe(%Table{name: name, type: type}), do: "#{inspect(name)} (#{type})"

  def describe(%__MODULE__{held: :none} = view) do
    "the #{view.side} side of #{inspect(view.table)} (#{view.type})"
  end

  def describe(%__MODULE__{} = view) do
    "a held set, #{view.side} of #{inspect(view.table)} (#{view.type})"
  end
end
