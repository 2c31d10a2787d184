defmodule Rhizome.Graph.Projection do
  @moduledoc """
  A graph made ready for algorithms, and kept under a name.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :roads, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :c}])
      iex> {:ok, roads} = Rhizome.Graph.project(graph, :roads_today)
      iex> {roads.vertices, roads.edges}
      {3, 2}
      iex> Rhizome.Graph.put_edge!(graph, :c, :a)
      iex> {:ok, summary} = Rhizome.Graph.run(roads, :wcc, mode: :summary)
      iex> summary.components
      1
      iex> Rhizome.Graph.drop_projection(roads)
      :ok

  A projection is the graph as arrays (compressed sparse rows), built in one pass beside
  everything else. `Rhizome.Graph.run/3` on a graph makes one that it needs by itself, and
  keeps it for the next run until the graph changes. One with a name is of the state that it
  was made from, for as long as it is not dropped or the store restarted, however much is
  written meanwhile: several algorithms that run on it speak of the same graph.
  `Rhizome.Graph.projection/3` finds it again by its name.

  It is for algorithms alone, and no `t:Rhizome.Graph.source/0`: walks
  (`Rhizome.Graph.neighbors/3`, `Rhizome.Graph.shortest_path/4` ...) go over the graph itself,
  or over a snapshot of it, which is of one state as well.

  ## Fields

    * `:store`, `:name`
    * `:vertices`, `:edges` - how many it has
    * `:bytes` - what it takes of the daemon's memory
    * `:seq` - the seq of the store that it shows
    * `:ms` - how long it took to make, `nil` if it was found by its name
  """

  @enforce_keys [:store, :name]
  defstruct [:store, :name, :vertices, :edges, :bytes, :seq, :ms]

  @type t :: %__MODULE__{
          store: Rhizome.store(),
          name: term(),
          vertices: non_neg_integer(),
          edges: non_neg_integer(),
          bytes: non_neg_integer(),
          seq: non_neg_integer(),
          ms: non_neg_integer() | nil
        }

  defimpl Inspect do
    def inspect(projection, _options) do
      "#Rhizome.Graph.Projection<#{Kernel.inspect(projection.name)}, " <>
        "#{projection.vertices} vertices, #{projection.edges} edges, " <>
        "#{Kernel.inspect(projection.store)}>"
    end
  end
end
