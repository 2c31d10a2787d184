defmodule Rhizome.Graph.Source do
  @moduledoc false
  # What the functions of Rhizome.Graph walk over: a graph; a junction, which has an edge
  # from a to b for each of its pairs; a path of junctions; or a projection of one
  # of these.

  alias Rhizome.Graph.Projection
  alias Rhizome.{Table, Version, View}

  @enforce_keys [:target, :wire]
  defstruct [:target, :wire]

  @type t :: %__MODULE__{target: Rhizome.target(), wire: term()}

  @pairs [:to_many, :one_to_one, :one_to_many, :many_to_one, :many_to_many]
  @path_max 8

  # `options` are validated and may have `:at`.
  @spec new(Rhizome.Graph.source(), map()) :: t()
  def new(source, options \\ %{}) do
    {store, wire} = parts(source)
    %__MODULE__{target: Version.target(store, options), wire: wire}
  end

  # The same where a projection will do, too.
  @spec of_run(Rhizome.Graph.source() | Projection.t(), map()) :: t()
  def of_run(%Projection{}, %{at: _version}) do
    raise ArgumentError, "a projection is of one state, and takes no :at"
  end

  def of_run(%Projection{store: store, name: name}, _options) do
    %__MODULE__{target: store, wire: {:"$projection", name}}
  end

  def of_run(source, options), do: new(source, options)

  defp parts(%Table{type: :graph, store: store, name: name}), do: {store, name}

  defp parts(%Table{type: type, store: store, name: name}) when type in @pairs do
    {store, name}
  end

  defp parts([_one | _more] = steps) when length(steps) <= @path_max do
    [{store, _step} | _more] = parts = Enum.map(steps, &step!/1)

    for {other, _step} <- parts, not (other == store) do
      raise ArgumentError, "the steps of a path are tables of one store, got: #{inspect(steps)}"
    end

    {store, {:"$path", for({_store, step} <- parts, do: step)}}
  end

  defp parts(%View{side: :fwd, held: :none, type: type} = view) when type in @pairs do
    {view.store, view.table}
  end

  defp parts(%View{} = view), do: parts([view])
  defp parts(other), do: no_source!(other)

  defp step!(%Table{type: type} = table) when type in @pairs,
    do: {table.store, {table.name, :fwd}}

  defp step!(%View{held: :none, type: type} = view) when type in @pairs do
    {view.store, {view.table, view.side}}
  end

  defp step!(other), do: no_source!(other)

  defp no_source!(other) do
    raise ArgumentError,
          "expected a graph, a table or side of pairs, or a list of 1 to #{@path_max} of the " <>
            "latter, got: #{inspect(other)}"
  end
end
