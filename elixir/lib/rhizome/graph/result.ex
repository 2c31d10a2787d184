defmodule Rhizome.Graph.Result do
  @moduledoc """
  What an algorithm has found: rows that the daemon keeps, and figures that sum them up.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :a}, {:c, :d}])
      iex> {:ok, result} = Rhizome.Graph.run(graph, :scc)
      iex> Enum.count(result)
      4
      iex> result.summary.components
      3
      iex> groups = Enum.group_by(result, fn {_vertex, group} -> group end, &elem(&1, 0))
      iex> Enum.sort(Map.values(groups))
      [[:a, :b], [:c], [:d]]
      iex> Rhizome.Graph.release(result)
      :ok

  A result is `Enumerable`: its rows are fetched in pages, as they are asked for, so that a
  result of millions takes no more memory in the VM than one page does. Each row is a tuple,
  of a vertex and what was found of it, or as the algorithm says.

  ## How long it lives

  As a snapshot does: until it is released (`Rhizome.Graph.release/1`), its process dies, it
  is too old, or the store is restarted. What it is asked then fails with `:no_result`.
  `Rhizome.Graph.Algorithms.with_result/4` releases it behind a function.

  ## Fields

    * `:algorithm`
    * `:count` - how many rows there are
    * `:seq` - the seq of the store that they are of: that of the projection, which may be an
      older one, if nothing behind it has changed since
    * `:summary` - the figures: those of the algorithm, and `:ms`, how long it took
    * `:store` - the store, or the version of it, as it was named

  The others are internal.
  """

  alias Rhizome.{Client, Options}
  alias Rhizome.Graph.Pages

  @enforce_keys [:store, :owner, :name, :algorithm, :summary]
  defstruct [
    :store,
    :owner,
    :name,
    :algorithm,
    :count,
    :seq,
    :summary,
    # of a graph, what it was like: for Rhizome.Graph.contract_all/3
    :source,
    :digest,
    # whether only so many rows were asked for
    first_rows: false
  ]

  @type t :: %__MODULE__{
          store: Rhizome.target(),
          owner: pid(),
          name: Client.name(),
          algorithm: atom(),
          count: non_neg_integer(),
          seq: non_neg_integer(),
          summary: map(),
          source: term(),
          digest: binary() | nil,
          first_rows: boolean()
        }

  @page_size 1_000

  @doc """
  A lazy stream of the rows from a position on: all of them for `Enum`, or a part.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :c}])
      iex> {:ok, result} = Rhizome.Graph.run(graph, :wcc)
      iex> result |> Rhizome.Graph.Result.stream(position: 1, limit: 1) |> Enum.map(&elem(&1, 0))
      [:b]

  ## Options

  #{Options.docs(:rows)}
  """
  @spec stream(t(), keyword()) :: Enumerable.t()
  def stream(%__MODULE__{} = result, options \\ []) do
    options = Options.validate!(options, :rows)

    Pages.stream(%Pages{
      target: result.owner,
      op: fn from, limit -> {:result_rows, result.name, position(from), limit} end,
      from: options.position,
      about: %{},
      timeout: options[:timeout],
      page_size: Map.get(options, :page_size, @page_size),
      left: Map.get(options, :limit, :infinity)
    })
  end

  defp position({:pos, position}), do: position
  defp position(position), do: position

  @doc false
  @spec release(t()) :: :ok
  def release(%__MODULE__{owner: owner, name: name}) do
    Client.tell(owner, {:release_result, name})
  end

  def release(other) do
    raise ArgumentError, "expected a %Rhizome.Graph.Result{}, got: #{inspect(other)}"
  end

  defimpl Enumerable do
    alias Rhizome.Graph.Result

    def count(%{count: nil}), do: {:error, __MODULE__}
    def count(%{count: count}), do: {:ok, count}

    def member?(_result, _row), do: {:error, __MODULE__}

    def slice(%{count: nil}), do: {:error, __MODULE__}

    def slice(result) do
      {:ok, result.count,
       fn start, length, step ->
         result
         |> Result.stream(position: start, limit: (length - 1) * step + 1)
         |> Enum.take_every(step)
       end}
    end

    def reduce(result, acc, fun), do: Enumerable.reduce(Result.stream(result), acc, fun)
  end

  defimpl Inspect do
    def inspect(result, _options) do
      "#Rhizome.Graph.Result<#{result.algorithm}, #{result.count} rows, " <>
        "#{Kernel.inspect(result.store)}>"
    end
  end
end
