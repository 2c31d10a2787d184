defmodule Rhizome.Condition do
  @moduledoc """
  What the option `:where` takes: which elements a read is about.

  The daemon looks at the elements of the range one by one and passes over the
  others, so they never travel:

      iex> {:ok, store} = Rhizome.start_link()
      iex> people = Rhizome.create_table!(store, :people, :to_one)
      iex> Rhizome.insert_all!(people, [{:ann, %{age: 31}}, {:bob, %{age: 17}}, {:cid, :unknown}])
      iex> Rhizome.keys(people, where: {:>=, {:map_get, :age, :value}, 18})
      [:ann]
      iex> Rhizome.count(people, where: {:or, [{:==, :key, :cid}, {:in, :value, [:a, :b]}]})
      1

  | condition | holds if |
  | --- | --- |
  | `{:==, operand, term}`, `{:!=, operand, term}` | the operand is this term, or another one |
  | `{:<, operand, term}`, `:<=`, `:>`, `:>=` | it comes before or behind it in the order of keys |
  | `{:in, operand, [term]}` | it is one of these |
  | `{:and, [condition]}`, `{:or, [condition]}` | all or one of them hold |
  | `{:not, condition}` | it does not |

  | operand | is |
  | --- | --- |
  | `:key` | the key of the element; the element of a set |
  | `:value` | its value or partner; the element of a held set |
  | `{:element, n, operand}` | the element of a tuple, counted from 1 as in match specifications |
  | `{:map_get, key, operand}` | the value of a key of a map |

  Terms are compared as keys are: by Erlang's term order, where `1` comes right
  before `1.0` and is not the same. Where an operand does not exist, as the age of
  `:unknown` above, a comparison does not hold, `:!=` included.

  A condition may have 1,000 parts, nested 32 deep, and 100,000 terms; a larger
  one is a `:bad_argument`.
  """

  @typedoc "A condition; see the table above."
  @type t ::
          {:== | :!= | :< | :<= | :> | :>=, operand(), term()}
          | {:in, operand(), [term()]}
          | {:and | :or, [t()]}
          | {:not, t()}

  @typedoc "What is compared."
  @type operand ::
          :key
          | :value
          | {:element, pos_integer(), operand()}
          | {:map_get, key :: term(), operand()}

  @operators %{==: :"=:=", !=: :"=/=", <: :<, <=: :"=<", >: :>, >=: :>=}

  # Condition of the protocol; raises ArgumentError.
  @doc false
  @spec wire!(t()) :: tuple()
  def wire!({operator, operand, term}) when is_map_key(@operators, operator) do
    {Map.fetch!(@operators, operator), operand!(operand), term}
  end

  def wire!({:in, operand, terms}) when is_list(terms) and length(terms) >= 0 do
    {:in, operand!(operand), terms}
  end

  def wire!({operator, conditions})
      when operator in [:and, :or] and is_list(conditions) and length(conditions) >= 0 do
    {operator, Enum.map(conditions, &wire!/1)}
  end

  def wire!({:not, condition}), do: {:not, wire!(condition)}

  def wire!(other) do
    raise ArgumentError,
          "a condition is {operator, operand, term} or one of those of Rhizome.Condition, " <>
            "got: #{inspect(other)}"
  end

  defp operand!(operand) when operand in [:key, :value], do: operand

  defp operand!({:element, n, operand}) when is_integer(n) and n > 0,
    do: {:element, n, operand!(operand)}

  defp operand!({:map_get, key, operand}), do: {:map_get, key, operand!(operand)}

  defp operand!(other) do
    raise ArgumentError,
          "an operand is :key, :value, {:element, n, operand} with n from 1, or " <>
            "{:map_get, key, operand}, got: #{inspect(other)}"
  end
end
