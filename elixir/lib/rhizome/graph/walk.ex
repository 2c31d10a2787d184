defmodule Rhizome.Graph.Walk do
  @moduledoc false
  # Local work on a graph: options as they travel, requests, and answers as the user
  # sees them.

  alias Rhizome.{Client, Condition, Error, Options, Scan}
  alias Rhizome.Graph.Source

  @plain [:labels, :vertex_labels, :depth, :degree, :limit, :seed]

  # Asks for what `op` makes of the wire's Source and Walk, and returns the answer.
  # `schema` is that of the options.
  @spec ask!(Rhizome.Graph.source(), keyword(), Options.schema(), (term(), map() -> tuple())) ::
          term()
  def ask!(source, options, schema, op) do
    options = Options.validate!(options, schema)
    source = Source.new(source, options)
    op = op.(source.wire, wire(options))

    case Client.read(source.target, op, Scan.limits(options), options[:timeout]) do
      {:ok, answer} -> answer
      {:ok, rows, _next} -> rows
      # As many as were wanted.
      {:ok, rows, _next, :limit} -> rows
      {:ok, rows, _next, why} -> raise stopped(why, source, rows)
      {:error, error} -> raise error
    end
  end

  # Walk of the protocol: what differs from its defaults.
  @spec wire(map()) :: map()
  def wire(options) do
    for {name, value} <- options, pair = pair(name, value), into: %{}, do: pair
  end

  defp pair(:direction, :out), do: nil
  defp pair(:direction, direction), do: {:direction, direction}
  defp pair(:weighted, weighted?), do: weighted? && {:weighted, true}
  defp pair(:values, values?), do: values? && {:values, true}
  defp pair(:heuristic, table), do: {:heuristic, {table.name, :lookup}}

  defp pair(name, condition) when name in [:edges, :vertices] do
    {name, Condition.wire!(condition)}
  end

  defp pair(name, value) when name in @plain, do: {name, value}
  defp pair(_name, _value), do: nil

  defp stopped(why, source, rows) do
    Error.new(why, nil, %{table: source.wire, count: length(rows)})
  end

  @spec vertices!(term()) :: [term()]
  def vertices!(vertices) when is_list(vertices), do: vertices

  def vertices!(other) do
    raise ArgumentError, "expected a list of vertices, got: #{inspect(other)}"
  end
end
