defmodule Rhizome.Graph do
  alias Rhizome.{Change, Client, Error, Options, Op, Scan, Table, Version, View}

  alias Rhizome.Graph.{
    Algorithms,
    Contraction,
    Dot,
    Files,
    Pages,
    Projection,
    Result,
    Walk
  }

  require Version

  @moduledoc """
  Property graphs: vertices and edges with values and labels, next to the other tables of a
  store.

      iex> {:ok, store} = Rhizome.start_link()
      iex> friends = Rhizome.create_table!(store, :friends, :graph)
      iex> Rhizome.Graph.put_vertex!(friends, :ann, value: %{age: 31}, labels: [:person])
      iex> Rhizome.Graph.put_edges!(friends, [{:ann, :bob, :knows}, {:bob, :cid, :knows}])
      iex> Rhizome.Graph.k_hop(friends, [:ann], 2)
      [{:ann, 0}, {:bob, 1}, {:cid, 2}]
      iex> Rhizome.Graph.shortest_path(friends, :ann, :cid)
      {2, [:ann, :bob, :cid]}

  A graph is a table of the type `:graph`: `Rhizome.create_table/4` makes it, and
  `Rhizome.drop_table/2`, `Rhizome.clear/2`, `Rhizome.table_info/2` and `Rhizome.tables/2`
  are as for all tables. It is written by batches and transactions, seen by snapshots and
  forks (`Rhizome.on/2`, or the option `:at`), told by the change feed, and in the log, as all
  tables are.

  ## Elements

    * `{:vertex, vertex, value, labels}` - a vertex is any term that is a key. It has a value
      and any number of labels.
    * `{:edge, from, to, label, value}` - an edge has a direction, a label and a value. Edges
      in parallel have different labels: `(from, to, label)` names one.

  Values and labels are any terms; `nil` is none, and is no label of a vertex. An edge brings vertices that are missing
  with it, without value and labels. A vertex takes its edges along when it goes.

  A graph is `Enumerable` and `Collectable`: it is its vertices, in the order in which they
  came, and then its edges.

      iex> {:ok, store} = Rhizome.start_link()
      iex> roads = Rhizome.create_table!(store, :roads, :graph, directed: false, weight: :value)
      iex> Enum.into([{:edge, :a, :b, nil, 5}, {:edge, :b, :c, nil, 2.5}], roads)
      iex> Enum.to_list(roads)
      [
        {:vertex, :a, nil, []},
        {:vertex, :b, nil, []},
        {:vertex, :c, nil, []},
        {:edge, :a, :b, nil, 5},
        {:edge, :b, :c, nil, 2.5}
      ]

  ## Undirected graphs and weights

  With `directed: false` an edge has no direction: `(a, b)` and `(b, a)` are the same one, and
  each walk goes either way. The option `:weight` of `Rhizome.create_table/4` says where the
  weights of edges are: an edge whose value gives no number is not put, and fails with
  `:bad_weight`. What does not ask for `weighted: true` counts edges.

  ## Local work

  What begins at a vertex (`neighbors/3`, `k_hop/4`, `shortest_path/4` ...) is done
  by the daemon next to the data, in one round trip. Where it gets long it goes on beside
  everything else, on the state of the moment at which it was asked, and ends when
  its caller does. `:timeout`, `:max_rows` (edges looked at) and `:max_memory` bound it as they
  do all long reads; see "Long reads" in `Rhizome`. It raises `:no_vertex` if it is to begin at one
  that is not there.

  Any table of pairs is a graph, too: it has an edge from `a` to `b` for each of its
  elements `{a, b}`. So is a list of them, a path: its edges go from where the first begins to
  where the last ends. All functions that take a `t:source/0` take these.

      iex> {:ok, store} = Rhizome.start_link()
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> made_of = Rhizome.create_table!(store, :made_of, :many_to_many)
      iex> Rhizome.insert_all!(owns, [{:ann, :sword}, {:ann, :bow}])
      iex> Rhizome.insert_all!(made_of, [{:sword, :iron}, {:bow, :wood}])
      iex> Enum.sort(Rhizome.Graph.out_neighbors([owns, made_of], :ann))
      [:iron, :wood]
      iex> Rhizome.Graph.out_neighbors([Rhizome.bwd(made_of), Rhizome.bwd(owns)], :iron)
      [:ann]

  ## The whole graph

  `run/3` runs one of the algorithms that `Rhizome.Graph.Algorithms` lists, which
  has a function for each: PageRank, components, communities, centralities, flows and so on.

  ## Errors

  As everywhere in this library: functions whose answer is a tuple return errors and have a
  twin with `!`, functions whose answer is a plain value raise them.
  """

  @typedoc "A table of the type `:graph`."
  @type t :: Table.t()

  @typedoc "What one can walk over: a graph, a table of pairs or one side of it, or a path of these."
  @type source :: Table.t() | View.t() | [Table.t() | View.t()]

  @typedoc "Any term that is a key."
  @type vertex :: term()

  @type label :: term()

  @type vertex_element :: {:vertex, vertex(), value :: term(), [label()]}
  @type edge_element :: {:edge, vertex(), vertex(), label(), value :: term()}
  @type element :: vertex_element() | edge_element()

  @typedoc "An edge as it is put: without a label, or a value, these are `nil`."
  @type edge ::
          {vertex(), vertex()}
          | {vertex(), vertex(), label()}
          | {vertex(), vertex(), label(), value :: term()}
          | edge_element()

  ## Vertices

  @doc """
  Puts a vertex. It has the value and the labels that are given, and no others: what was there
  before is replaced. Its edges stay.

  The outcome is `:inserted`, `:updated`, or `:exists` if it was there as it is to be.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_vertex!(graph, :ann, labels: [:person]).outcome
      :inserted
      iex> Rhizome.Graph.put_vertex!(graph, :ann, value: 31, labels: [:person]).outcome
      :updated
      iex> Rhizome.Graph.get_vertex(graph, :ann)
      {:vertex, :ann, 31, [:person]}

  ## Options

  #{Options.docs(:put_vertex)}
  """
  @spec put_vertex(t(), vertex(), keyword()) :: Rhizome.mutated(Change.t())
  def put_vertex(graph, vertex, options \\ []) do
    options = Options.validate!(options, :put_vertex)
    Rhizome.mutate(Op.put_vertex(graph, vertex, options), graph, options)
  end

  @doc "`put_vertex/3` that returns the change or raises the error."
  @spec put_vertex!(t(), vertex(), keyword()) :: Change.t()
  def put_vertex!(graph, vertex, options \\ []), do: unwrap!(put_vertex(graph, vertex, options))

  @doc """
  Puts vertices, in one request: all or, on an error, none. The outcome is how many were
  inserted or updated.

  Each is a vertex, which then has no value and no labels, or a whole element
  `{:vertex, vertex, value, labels}`. For very many, `Enum.into/2` sends 1,000 at a time.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_vertices!(graph, [:ann, {:vertex, :bob, 27, [:person]}]).outcome
      2

  """
  @spec put_vertices(t(), Enumerable.t(), keyword()) :: Rhizome.mutated(Change.t())
  def put_vertices(graph, vertices, options \\ []) do
    Rhizome.mutate(Op.put_vertices(graph, vertices), graph, options)
  end

  @doc "`put_vertices/3` that returns the change or raises the error."
  @spec put_vertices!(t(), Enumerable.t(), keyword()) :: Change.t()
  def put_vertices!(graph, vertices, options \\ []) do
    unwrap!(put_vertices(graph, vertices, options))
  end

  @doc """
  Replaces the value and the labels of a vertex that is there. Errors: `:no_vertex`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> {:error, error} = Rhizome.Graph.update_vertex(graph, :ann, value: 31)
      iex> error.code
      :no_vertex

  ## Options

  #{Options.docs(:put_vertex)}
  """
  @spec update_vertex(t(), vertex(), keyword()) :: Rhizome.mutated(Change.t())
  def update_vertex(graph, vertex, options \\ []) do
    options = Options.validate!(options, :put_vertex)
    Rhizome.mutate(Op.update_vertex(graph, vertex, options), graph, options)
  end

  @doc "`update_vertex/3` that returns the change or raises the error."
  @spec update_vertex!(t(), vertex(), keyword()) :: Change.t()
  def update_vertex!(graph, vertex, options \\ []) do
    unwrap!(update_vertex(graph, vertex, options))
  end

  @doc """
  Deletes a vertex and all of its edges, which the change tells.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:ann, :bob}, {:cid, :ann}])
      iex> Rhizome.Graph.delete_vertex!(graph, :ann).evicted
      [
        {:edge, :ann, :bob, nil, nil},
        {:edge, :cid, :ann, nil, nil},
        {:vertex, :ann, nil, []}
      ]

  """
  @spec delete_vertex(t(), vertex(), keyword()) :: Rhizome.mutated(Change.t())
  def delete_vertex(graph, vertex, options \\ []) do
    Rhizome.mutate(Op.delete_vertex(graph, vertex), graph, options)
  end

  @doc "`delete_vertex/3` that returns the change or raises the error."
  @spec delete_vertex!(t(), vertex(), keyword()) :: Change.t()
  def delete_vertex!(graph, vertex, options \\ []) do
    unwrap!(delete_vertex(graph, vertex, options))
  end

  @doc """
  Deletes those of these vertices that are there, with their edges. The outcome is how many
  vertices were.
  """
  @spec delete_vertices(t(), Enumerable.t(), keyword()) :: Rhizome.mutated(Change.t())
  def delete_vertices(graph, vertices, options \\ []) do
    Rhizome.mutate(Op.delete_vertices(graph, vertices), graph, options)
  end

  @doc "`delete_vertices/3` that returns the change or raises the error."
  @spec delete_vertices!(t(), Enumerable.t(), keyword()) :: Change.t()
  def delete_vertices!(graph, vertices, options \\ []) do
    unwrap!(delete_vertices(graph, vertices, options))
  end

  @doc """
  A vertex as an element, or `nil` if there is none.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edge!(graph, :ann, :bob)
      iex> Rhizome.Graph.get_vertex(graph, :ann)
      {:vertex, :ann, nil, []}
      iex> Rhizome.Graph.get_vertex(graph, :cid)
      nil

  ## Options

  #{Options.docs(:read)}
  """
  @spec get_vertex(t(), vertex(), keyword()) :: vertex_element() | nil
  def get_vertex(graph, vertex, options \\ []) do
    or_nil(ask!(graph, {:get_vertex, name!(graph), vertex}, options))
  end

  @doc """
  What `get_vertex/3` gives for each of these vertices, in their order and in one request.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_vertex!(graph, :ann, value: 31)
      iex> Rhizome.Graph.get_vertices(graph, [:bob, :ann])
      [nil, {:vertex, :ann, 31, []}]

  """
  @spec get_vertices(t(), Enumerable.t(), keyword()) :: [vertex_element() | nil]
  def get_vertices(graph, vertices, options \\ []) do
    op = {:get_vertices, name!(graph), Enum.to_list(vertices)}
    for answer <- ask!(graph, op, options), do: or_nil(answer)
  end

  @doc """
  Whether a vertex is there.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.has_vertex?(graph, :ann)
      false

  """
  @spec has_vertex?(t(), vertex(), keyword()) :: boolean()
  def has_vertex?(graph, vertex, options \\ []) do
    ask!(graph, {:has_vertex, name!(graph), vertex}, options)
  end

  @doc """
  A lazy stream of the vertices, in the order in which they came.

  It is live, as `Rhizome.stream/2` is: it holds nothing in the daemon, and each page shows
  what lies ahead as it is when it is asked for. One of a snapshot shows the state of that.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_vertices!(graph, [{:vertex, :ann, 31, [:person]}, :sword])
      iex> Enum.to_list(Rhizome.Graph.vertices(graph))
      [:ann, :sword]

  `vertex_elements/2` has their values and labels. With `:where`, `:key` is the vertex.

  ## Options

  #{Options.docs(:elements)}
  """
  @spec vertices(t(), keyword()) :: Enumerable.t()
  def vertices(graph, options \\ []) do
    graph |> vertex_elements(options) |> Stream.map(fn {:vertex, vertex, _, _} -> vertex end)
  end

  @doc """
  The same with values and labels: a lazy stream of `{:vertex, vertex, value, labels}`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_vertices!(graph, [{:vertex, :ann, 31, [:person]}, :sword])
      iex> Enum.to_list(Rhizome.Graph.vertex_elements(graph, where: {:>, :value, 30}))
      [{:vertex, :ann, 31, [:person]}, {:vertex, :sword, nil, []}]
      iex> Enum.to_list(Rhizome.Graph.vertex_elements(graph, label: :person))
      [{:vertex, :ann, 31, [:person]}]

  (`nil` is an atom, and comes behind numbers.)
  """
  @spec vertex_elements(t(), keyword()) :: Enumerable.t()
  def vertex_elements(graph, options \\ []) do
    if is_list(options), do: vertex_label!(Map.new(options))

    pages(graph, :vertices, options, fn {:vertex, _vertex, _value, labels}, label ->
      label in labels
    end)
  end

  @doc """
  How many vertices there are, or how many with a label. One request, O(log n).

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_vertices!(graph, [{:vertex, :ann, nil, [:person]}, :sword])
      iex> {Rhizome.Graph.vertex_count(graph), Rhizome.Graph.vertex_count(graph, label: :person)}
      {2, 1}

  ## Options

  #{Options.docs(:count_label)}
  """
  @spec vertex_count(t(), keyword()) :: non_neg_integer()
  def vertex_count(graph, options \\ []) do
    options = Options.validate!(options, :count_label)
    vertex_label!(options)

    case options do
      # The word for all labels, on the wire.
      %{label: :any} -> Enum.count(vertex_elements(graph, Map.to_list(options)))
      _other -> ask!(graph, {:vertex_count, name!(graph), label(options)}, options)
    end
  end

  ## Edges

  @doc """
  Puts an edge, and its vertices where they are missing.

  The outcome is `:inserted`, `:updated`, or `:exists` if it was there as it is to be.
  Errors: `:bad_weight` if the graph has weights and this value gives none.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edge!(graph, :ann, :bob, label: :knows, value: 1998).outcome
      :inserted
      iex> Rhizome.Graph.put_edge!(graph, :ann, :bob, label: :knows, value: 2001).evicted
      [{:edge, :ann, :bob, :knows, 1998}]
      iex> Rhizome.Graph.put_edge!(graph, :ann, :bob, label: :likes).outcome
      :inserted
      iex> Rhizome.Graph.edge_count(graph)
      2

  ## Options

  #{Options.docs(:put_edge)}
  """
  @spec put_edge(t(), vertex(), vertex(), keyword()) :: Rhizome.mutated(Change.t())
  def put_edge(graph, from, to, options \\ []) do
    options = Options.validate!(options, :put_edge)
    Rhizome.mutate(Op.put_edge(graph, from, to, options), graph, options)
  end

  @doc "`put_edge/4` that returns the change or raises the error."
  @spec put_edge!(t(), vertex(), vertex(), keyword()) :: Change.t()
  def put_edge!(graph, from, to, options \\ []), do: unwrap!(put_edge(graph, from, to, options))

  @doc """
  Puts edges, in one request: all or, on an error, none. The outcome is how many were
  inserted or updated. For very many, `Enum.into/2` sends 1,000 at a time.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> edges = [{:ann, :bob}, {:bob, :cid, :knows}, {:cid, :ann, :knows, 1998}]
      iex> Rhizome.Graph.put_edges!(graph, edges).outcome
      3

  """
  @spec put_edges(t(), Enumerable.t(), keyword()) :: Rhizome.mutated(Change.t())
  def put_edges(graph, edges, options \\ []) do
    Rhizome.mutate(Op.put_edges(graph, edges), graph, options)
  end

  @doc "`put_edges/3` that returns the change or raises the error."
  @spec put_edges!(t(), Enumerable.t(), keyword()) :: Change.t()
  def put_edges!(graph, edges, options \\ []), do: unwrap!(put_edges(graph, edges, options))

  @doc """
  Replaces the value of an edge that is there. Errors: `:not_found`, `:bad_weight`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edge!(graph, :ann, :bob)
      iex> Rhizome.Graph.update_edge!(graph, :ann, :bob, value: 5).outcome
      :updated
      iex> {:error, error} = Rhizome.Graph.update_edge(graph, :bob, :ann, value: 5)
      iex> error.code
      :not_found

  ## Options

  #{Options.docs(:put_edge)}
  """
  @spec update_edge(t(), vertex(), vertex(), keyword()) :: Rhizome.mutated(Change.t())
  def update_edge(graph, from, to, options \\ []) do
    options = Options.validate!(options, :put_edge)
    Rhizome.mutate(Op.update_edge(graph, from, to, options), graph, options)
  end

  @doc "`update_edge/4` that returns the change or raises the error."
  @spec update_edge!(t(), vertex(), vertex(), keyword()) :: Change.t()
  def update_edge!(graph, from, to, options \\ []) do
    unwrap!(update_edge(graph, from, to, options))
  end

  @doc """
  Deletes one edge: that with the `:label`, or that without one. Its vertices stay.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edge!(graph, :ann, :bob, label: :knows)
      iex> Rhizome.Graph.delete_edge!(graph, :ann, :bob).outcome
      :absent
      iex> Rhizome.Graph.delete_edge!(graph, :ann, :bob, label: :knows).outcome
      :deleted

  ## Options

  #{Options.docs(:delete_edge)}
  """
  @spec delete_edge(t(), vertex(), vertex(), keyword()) :: Rhizome.mutated(Change.t())
  def delete_edge(graph, from, to, options \\ []) do
    options = Options.validate!(options, :delete_edge)
    Rhizome.mutate(Op.delete_edge(graph, from, to, options), graph, options)
  end

  @doc "`delete_edge/4` that returns the change or raises the error."
  @spec delete_edge!(t(), vertex(), vertex(), keyword()) :: Change.t()
  def delete_edge!(graph, from, to, options \\ []) do
    unwrap!(delete_edge(graph, from, to, options))
  end

  @doc """
  Deletes those of these edges that are there, in one request. The outcome is how many
  were. An edge is `{from, to}` (without a label), `{from, to, label}`, or an element.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:ann, :bob}, {:bob, :cid, :knows}])
      iex> Rhizome.Graph.delete_edges!(graph, [{:ann, :bob}, {:bob, :cid}]).outcome
      1

  """
  @spec delete_edges(t(), Enumerable.t(), keyword()) :: Rhizome.mutated(Change.t())
  def delete_edges(graph, edges, options \\ []) do
    Rhizome.mutate(Op.delete_edges(graph, edges), graph, options)
  end

  @doc "`delete_edges/3` that returns the change or raises the error."
  @spec delete_edges!(t(), Enumerable.t(), keyword()) :: Change.t()
  def delete_edges!(graph, edges, options \\ []), do: unwrap!(delete_edges(graph, edges, options))

  @doc """
  An edge as an element, or `nil` if there is none.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edge!(graph, :ann, :bob, label: :knows, value: 1998)
      iex> Rhizome.Graph.get_edge(graph, :ann, :bob, label: :knows)
      {:edge, :ann, :bob, :knows, 1998}
      iex> Rhizome.Graph.get_edge(graph, :ann, :bob)
      nil

  ## Options

  #{Options.docs(:get_edge)}
  """
  @spec get_edge(t(), vertex(), vertex(), keyword()) :: edge_element() | nil
  def get_edge(graph, from, to, options \\ []) do
    options = Options.validate!(options, :get_edge)

    case ask!(graph, {:get_edge, name!(graph), from, to, options.label}, options) do
      {:value, value} -> {:edge, from, to, options.label, value}
      :none -> nil
    end
  end

  @doc """
  Whether there is an edge, with any label or with one.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edge!(graph, :ann, :bob, label: :knows)
      iex> Rhizome.Graph.has_edge?(graph, :ann, :bob)
      true
      iex> Rhizome.Graph.has_edge?(graph, :ann, :bob, label: :likes)
      false

  ## Options

  #{Options.docs(:has_edge)}
  """
  @spec has_edge?(t(), vertex(), vertex(), keyword()) :: boolean()
  def has_edge?(graph, from, to, options \\ []) do
    options = Options.validate!(options, :has_edge)

    case options do
      %{label: :any} -> get_edge(graph, from, to, Map.to_list(options)) != nil
      _other -> ask!(graph, {:has_edge, name!(graph), from, to, label(options)}, options)
    end
  end

  @doc """
  A lazy stream of the edges, `{:edge, from, to, label, value}`: those of a vertex
  together, in the order in which the vertices came. It is live, as `vertices/2` is.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:ann, :bob, :knows, 3}, {:bob, :cid, :knows, 5}])
      iex> Enum.to_list(Rhizome.Graph.edges(graph, where: {:>, :value, 3}))
      [{:edge, :bob, :cid, :knows, 5}]

  With `:where`, `:key` is `{from, to, label}`.

  ## Options

  #{Options.docs(:elements)}
  """
  @spec edges(t(), keyword()) :: Enumerable.t()
  def edges(graph, options \\ []) do
    pages(graph, :edges, options, fn {:edge, _from, _to, label, _value}, wanted ->
      label === wanted
    end)
  end

  @doc """
  How many edges there are, or how many with a label. One request.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:ann, :bob}, {:ann, :bob, :knows}])
      iex> {Rhizome.Graph.edge_count(graph), Rhizome.Graph.edge_count(graph, label: nil)}
      {2, 1}

  ## Options

  #{Options.docs(:count_label)}
  """
  @spec edge_count(t(), keyword()) :: non_neg_integer()
  def edge_count(graph, options \\ []) do
    options = Options.validate!(options, :count_label)

    case options do
      %{label: :any} -> Enum.count(edges(graph, Map.to_list(options)))
      _other -> ask!(graph, {:edge_count, name!(graph), label(options)}, options)
    end
  end

  @doc """
  A number that two graphs share if they have the same elements, in whatever order they
  came, as 32 hexadecimal digits. Costs nothing to ask for.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graphs = for name <- [:g, :h], do: Rhizome.create_table!(store, name, :graph)
      iex> Rhizome.Graph.put_edges!(hd(graphs), [{:ann, :bob}, {:bob, :cid}])
      iex> Rhizome.Graph.put_edges!(List.last(graphs), [{:bob, :cid}, {:ann, :bob}])
      iex> [digest, digest] = Enum.map(graphs, &Rhizome.Graph.digest/1)
      iex> byte_size(digest)
      32

  ## Options

  #{Options.docs(:read)}
  """
  @spec digest(t(), keyword()) :: String.t()
  def digest(graph, options \\ []) do
    graph |> ask!({:graph_digest, name!(graph)}, options) |> Base.encode16(case: :lower)
  end

  ## Around a vertex

  @doc """
  The vertices at the other ends of a vertex's edges, whatever their direction; each once.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:ann, :bob}, {:cid, :ann}])
      iex> Enum.sort(Rhizome.Graph.neighbors(graph, :ann))
      [:bob, :cid]
      iex> Rhizome.Graph.neighbors(graph, :ann, direction: :in)
      [:cid]

  They come in the order in which they came into the graph. `:direction` is `:both` here.

  ## Options

  #{Options.docs(:neighbors)}
  """
  @spec neighbors(source(), vertex(), keyword()) :: [vertex()]
  def neighbors(source, vertex, options \\ []) do
    options = both(options)
    Walk.ask!(source, options, :neighbors, &{:neighbors, &1, vertex, &2})
  end

  @doc "`neighbors/3` along the edges only."
  @spec out_neighbors(source(), vertex(), keyword()) :: [vertex()]
  def out_neighbors(source, vertex, options \\ []) do
    neighbors(source, vertex, direction(options, :out))
  end

  @doc "`neighbors/3` against the edges only."
  @spec in_neighbors(source(), vertex(), keyword()) :: [vertex()]
  def in_neighbors(source, vertex, options \\ []) do
    neighbors(source, vertex, direction(options, :in))
  end

  @doc """
  The edges of a vertex with their values, as elements: those that leave it and those that come to it.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:ann, :bob, :knows, 3}, {:cid, :ann, :knows, 5}])
      iex> Rhizome.Graph.incident_edges(graph, :ann)
      [{:edge, :ann, :bob, :knows, 3}, {:edge, :cid, :ann, :knows, 5}]
      iex> Rhizome.Graph.incident_edges(graph, :ann, edges: {:>, :value, 3})
      [{:edge, :cid, :ann, :knows, 5}]

  ## Options

  #{Options.docs(:neighbors)}
  """
  @spec incident_edges(source(), vertex(), keyword()) :: [edge_element()]
  def incident_edges(source, vertex, options \\ []) do
    options = both(options)

    rows =
      Walk.ask!(source, options, :neighbors, fn source, walk ->
        {:neighbors, source, vertex, Map.put(walk, :values, true)}
      end)

    for row <- rows do
      case row do
        {other, label, value, :out} -> {:edge, vertex, other, label, value}
        {other, label, value, :in} -> {:edge, other, vertex, label, value}
      end
    end
  end

  @doc "`incident_edges/3`: those that leave the vertex."
  @spec out_edges(source(), vertex(), keyword()) :: [edge_element()]
  def out_edges(source, vertex, options \\ []) do
    incident_edges(source, vertex, direction(options, :out))
  end

  @doc "`incident_edges/3`: those that come to the vertex."
  @spec in_edges(source(), vertex(), keyword()) :: [edge_element()]
  def in_edges(source, vertex, options \\ []) do
    incident_edges(source, vertex, direction(options, :in))
  end

  @doc """
  How many edges a vertex has, both those that leave it and those that come to it.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:ann, :bob}, {:ann, :bob, :knows}, {:cid, :ann}])
      iex> {Rhizome.Graph.degree(graph, :ann), Rhizome.Graph.out_degree(graph, :ann)}
      {3, 2}

  ## Options

  #{Options.docs(:neighbors)}
  """
  @spec degree(source(), vertex(), keyword()) :: non_neg_integer()
  def degree(source, vertex, options \\ []) do
    Walk.ask!(source, both(options), :neighbors, &{:degree, &1, vertex, &2})
  end

  @doc "`degree/3`: of the edges that leave the vertex."
  @spec out_degree(source(), vertex(), keyword()) :: non_neg_integer()
  def out_degree(source, vertex, options \\ []) do
    degree(source, vertex, direction(options, :out))
  end

  @doc "`degree/3`: of the edges that come to the vertex."
  @spec in_degree(source(), vertex(), keyword()) :: non_neg_integer()
  def in_degree(source, vertex, options \\ []) do
    degree(source, vertex, direction(options, :in))
  end

  @doc """
  `degree/3` of each of these vertices, in one request.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:ann, :bob}, {:cid, :ann}])
      iex> Rhizome.Graph.degrees(graph, [:ann, :bob], direction: :out)
      [1, 0]

  """
  @spec degrees(source(), [vertex()], keyword()) :: [non_neg_integer()]
  def degrees(source, vertices, options \\ []) do
    vertices = Walk.vertices!(vertices)
    Walk.ask!(source, both(options), :neighbors, &{:degrees, &1, vertices, &2})
  end

  @doc """
  The vertices that are neighbours of both, in the order in which they came.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:ann, :cid}, {:bob, :cid}, {:bob, :dee}])
      iex> Rhizome.Graph.common_neighbors(graph, :ann, :bob)
      [:cid]

  `:direction` is `:both` here.

  ## Options

  #{Options.docs(:neighbors)}
  """
  @spec common_neighbors(source(), vertex(), vertex(), keyword()) :: [vertex()]
  def common_neighbors(source, a, b, options \\ []) do
    Walk.ask!(source, both(options), :neighbors, &{:common_neighbors, &1, a, b, &2})
  end

  @doc """
  How alike the neighbours of two vertices are: how many they share of all that they
  have, from 0.0 to 1.0.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:ann, :cid}, {:bob, :cid}, {:bob, :dee}])
      iex> Rhizome.Graph.jaccard(graph, :ann, :bob)
      0.5

  `:direction` is `:both` here.

  ## Options

  #{Options.docs(:neighbors)}
  """
  @spec jaccard(source(), vertex(), vertex(), keyword()) :: float()
  def jaccard(source, a, b, options \\ []) do
    Walk.ask!(source, both(options), :neighbors, &{:jaccard, &1, a, b, &2})
  end

  ## Walks

  @doc """
  All vertices that can be reached from these over at most `depth` edges, with how many
  it takes at least: `[{vertex, level}]`. The starts are at level 0.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :c}, {:c, :d}, {:x, :a}])
      iex> Rhizome.Graph.k_hop(graph, [:a], 2)
      [{:a, 0}, {:b, 1}, {:c, 2}]
      iex> Rhizome.Graph.k_hop(graph, [:a], 1, direction: :both)
      [{:a, 0}, {:b, 1}, {:x, 1}]

  The starts are a list, also if there is one. `:depth` is the argument.

  ## Options

  #{Options.docs(:traverse)}
  """
  @spec k_hop(source(), [vertex()], non_neg_integer(), keyword()) ::
          [{vertex(), level :: non_neg_integer()}]
  def k_hop(source, starts, depth, options \\ []) do
    starts = Walk.vertices!(starts)
    Walk.ask!(source, [depth: depth] ++ options, :traverse, &{:k_hop, &1, starts, &2})
  end

  @doc """
  All vertices that can be reached from these, these included: `k_hop/4` of any depth,
  without the levels.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :c}, {:x, :a}])
      iex> {Rhizome.Graph.reachable(graph, [:a]), Rhizome.Graph.reaching(graph, [:a])}
      {[:a, :b, :c], [:a, :x]}

  ## Options

  #{Options.docs(:traverse)}
  """
  @spec reachable(source(), [vertex()], keyword()) :: [vertex()]
  def reachable(source, starts, options \\ []) do
    starts = Walk.vertices!(starts)
    rows = Walk.ask!(source, options, :traverse, &{:k_hop, &1, starts, &2})
    for {vertex, _level} <- rows, do: vertex
  end

  @doc "All vertices from which one of these can be reached: `reachable/3` against the edges."
  @spec reaching(source(), [vertex()], keyword()) :: [vertex()]
  def reaching(source, ends, options \\ []) do
    reachable(source, ends, direction(options, :in))
  end

  @doc """
  The vertices that can be reached from `vertex`, breadth first: each with its level and the
  vertex that it was found from, `nil` of the start.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:a, :c}, {:b, :d}])
      iex> Rhizome.Graph.bfs(graph, :a)
      [{:a, 0, nil}, {:b, 1, :a}, {:c, 1, :a}, {:d, 2, :b}]

  ## Options

  #{Options.docs(:traverse)}
  """
  @spec bfs(source(), vertex(), keyword()) ::
          [{vertex(), level :: non_neg_integer(), parent :: vertex() | nil}]
  def bfs(source, vertex, options \\ []) do
    rootless(Walk.ask!(source, options, :traverse, &{:bfs, &1, vertex, &2}))
  end

  @doc """
  The same depth first.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:a, :c}, {:b, :d}])
      iex> Rhizome.Graph.dfs(graph, :a)
      [{:a, 0, nil}, {:b, 1, :a}, {:d, 2, :b}, {:c, 1, :a}]

  ## Options

  #{Options.docs(:traverse)}
  """
  @spec dfs(source(), vertex(), keyword()) ::
          [{vertex(), level :: non_neg_integer(), parent :: vertex() | nil}]
  def dfs(source, vertex, options \\ []) do
    rootless(Walk.ask!(source, options, :traverse, &{:dfs, &1, vertex, &2}))
  end

  # Any term may be a vertex, so it is the level that says which has no parent.
  defp rootless(rows) do
    for row <- rows do
      case row do
        {vertex, 0, _none} -> {vertex, 0, nil}
        row -> row
      end
    end
  end

  @doc """
  Whether there is a way from one vertex to another.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :c}])
      iex> {Rhizome.Graph.reachable?(graph, :a, :c), Rhizome.Graph.reachable?(graph, :c, :a)}
      {true, false}

  ## Options

  #{Options.docs(:traverse)}
  """
  @spec reachable?(source(), vertex(), vertex(), keyword()) :: boolean()
  def reachable?(source, from, to, options \\ []) do
    Walk.ask!(source, options, :traverse, &{:reachable, &1, from, to, &2})
  end

  @doc """
  A shortest path, as its length and its vertices, or `nil` if there is none.

      iex> {:ok, store} = Rhizome.start_link()
      iex> roads = Rhizome.create_table!(store, :roads, :graph, weight: :value)
      iex> edges = [{:a, :b, nil, 7}, {:a, :c, nil, 2}, {:c, :b, nil, 3}]
      iex> Rhizome.Graph.put_edges!(roads, edges)
      iex> Rhizome.Graph.shortest_path(roads, :a, :b)
      {1, [:a, :b]}
      iex> Rhizome.Graph.shortest_path(roads, :a, :b, weighted: true)
      {5, [:a, :c, :b]}
      iex> Rhizome.Graph.shortest_path(roads, :b, :a)
      nil

  Without weights the search goes from both ends at once. With `weighted: true` it is
  Dijkstra's algorithm, and with a `:heuristic` A*. Errors: `:bad_weight` where a weight is negative.

  ## Options

  #{Options.docs(:path)}
  """
  @spec shortest_path(source(), vertex(), vertex(), keyword()) :: {number(), [vertex()]} | nil
  def shortest_path(source, from, to, options \\ []) do
    or_nil(Walk.ask!(source, options, :path, &{:shortest_path, &1, from, to, &2}))
  end

  @doc """
  Shortest paths from one vertex to each of some, or to `:all`: `[{vertex, length, path}]`, by
  one search (Dijkstra's algorithm). Those that cannot be reached are missing.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :c}])
      iex> Rhizome.Graph.shortest_paths_to(graph, :a, [:c, :a])
      [{:c, 2, [:a, :b, :c]}, {:a, 0, [:a]}]

  ## Options

  #{Options.docs(:paths)}
  """
  @spec shortest_paths_to(source(), vertex(), [vertex()] | :all, keyword()) ::
          [{vertex(), number(), [vertex()]}]
  def shortest_paths_to(source, from, targets, options \\ []) do
    targets = if targets == :all, do: :all, else: Walk.vertices!(targets)
    Walk.ask!(source, options, :paths, &{:shortest_paths_to, &1, from, targets, &2})
  end

  @doc """
  All paths that are as short as the shortest.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:a, :c}, {:b, :d}, {:c, :d}])
      iex> Enum.sort(Rhizome.Graph.all_shortest_paths(graph, :a, :d))
      [[:a, :b, :d], [:a, :c, :d]]

  ## Options

  #{Options.docs(:paths)}
  """
  @spec all_shortest_paths(source(), vertex(), vertex(), keyword()) :: [[vertex()]]
  def all_shortest_paths(source, from, to, options \\ []) do
    Walk.ask!(source, options, :paths, &{:all_shortest_paths, &1, from, to, &2})
  end

  @doc """
  The `k` shortest paths that pass no vertex twice, shortest first, each with its length
  (Yen's algorithm).

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :c}, {:a, :c}])
      iex> Rhizome.Graph.k_shortest_paths(graph, :a, :c, 5)
      [{1, [:a, :c]}, {2, [:a, :b, :c]}]

  ## Options

  #{Options.docs(:paths)}
  """
  @spec k_shortest_paths(source(), vertex(), vertex(), pos_integer(), keyword()) ::
          [{number(), [vertex()]}]
  def k_shortest_paths(source, from, to, k, options \\ []) do
    Walk.ask!(source, options, :paths, &{:k_shortest_paths, &1, from, to, k, &2})
  end

  @doc """
  The paths of at most `depth` edges that pass no vertex twice, from one vertex to another, or
  to `:any`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :c}, {:a, :c}, {:c, :a}])
      iex> Enum.sort(Rhizome.Graph.paths(graph, :a, :c, 3))
      [[:a, :b, :c], [:a, :c]]

  There may be very many: bound them with `:limit`, `:timeout` or `:max_rows`.

  ## Options

  #{Options.docs(:paths)}
  """
  @spec paths(source(), vertex(), vertex() | :any, pos_integer(), keyword()) :: [[vertex()]]
  def paths(source, from, to, depth, options \\ []) do
    Walk.ask!(source, [depth: depth] ++ options, :paths, &{:paths, &1, from, to, &2})
  end

  @doc """
  A walk of at most `steps` edges, each chosen at random: its vertices. It ends early where
  no edge leads on. A step is O(log n), however many edges a vertex has; where there are
  conditions, weights or several labels to choose by, it goes over the edges of the vertex.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :c}, {:b, :a}])
      iex> walk = Rhizome.Graph.random_walk(graph, :a, 10, seed: 7)
      iex> walk == Rhizome.Graph.random_walk(graph, :a, 10, seed: 7)
      true

  ## Options

  #{Options.docs(:random_walk)}
  """
  @spec random_walk(source(), vertex(), non_neg_integer(), keyword()) :: [vertex()]
  def random_walk(source, vertex, steps, options \\ []) do
    seed = Keyword.get_lazy(options, :seed, fn -> :erlang.phash2(make_ref()) end)

    Walk.ask!(source, options, :random_walk, fn source, walk ->
      {:random_walk, source, vertex, steps, seed, Map.delete(walk, :seed)}
    end)
  end

  @doc """
  These vertices and the edges between them, as data: `{vertices, edges}`, lists of
  elements. With `into: graph`, they are put into that graph, in one batch, and its handle
  is returned.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :c}, {:c, :a}])
      iex> Rhizome.Graph.subgraph(graph, [:a, :b])
      {[{:vertex, :a, nil, []}, {:vertex, :b, nil, []}], [{:edge, :a, :b, nil, nil}]}
      iex> part = Rhizome.create_table!(store, :part, :graph)
      iex> Rhizome.Graph.subgraph(graph, [:b, :c], into: part)
      iex> Enum.to_list(Rhizome.Graph.edges(part))
      [{:edge, :b, :c, nil, nil}]

  The other graph may be of another store.

  ## Options

    * `:into` - A graph to put it into.
  #{Options.docs(:neighbors)}
  """
  @spec subgraph(source(), [vertex()], keyword()) :: {[vertex_element()], [edge_element()]} | t()
  def subgraph(source, vertices, options \\ []) do
    vertices = Walk.vertices!(vertices)
    {into, options} = Keyword.pop(options, :into)
    if into, do: Table.check_graph!(into)
    found = Walk.ask!(source, options, :neighbors, &{:subgraph, &1, vertices, &2})

    if into do
      {vertices, edges} = found

      batch =
        Rhizome.Batch.new()
        |> Rhizome.Batch.put_vertices(into, vertices)
        |> Rhizome.Batch.put_edges(into, edges)

      Rhizome.run!(into.store, batch)
      into
    else
      found
    end
  end

  ## The whole graph

  @doc """
  Makes a named projection of a graph, which algorithms can run on: see
  `Rhizome.Graph.Projection`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:ann, :bob, :knows}, {:bob, :axe, :owns}])
      iex> {:ok, people} = Rhizome.Graph.project(graph, :people, labels: [:knows])
      iex> people.edges
      1

  ## Options

  #{Options.docs(:project)}

  A name is any term but `nil` and `:none`.
  """
  @spec project(source(), name :: term(), keyword()) :: Rhizome.result(Projection.t())
  defdelegate project(source, name, options \\ []), to: Algorithms

  @doc "`project/3` that returns the projection or raises the error."
  @spec project!(source(), name :: term(), keyword()) :: Projection.t()
  def project!(source, name, options \\ []), do: unwrap!(project(source, name, options))

  @doc """
  The projections that the daemon holds, as maps: those with a `:name`, and those that it
  keeps for the next run, whose name is `nil`. Each has its `:source`, `:vertices`, `:edges`,
  `:bytes` and `:seq`, `:current` (whether the graph is still so) and `:running` (how many
  runs use it); and, if it has a name, the `:projection` to run on, which is `nil` otherwise.

      iex> {:ok, store} = Rhizome.start_link()
      iex> Rhizome.Graph.projections(store)
      []

  """
  @spec projections(Rhizome.store(), keyword()) :: [map()]
  defdelegate projections(store, options \\ []), to: Algorithms

  @doc """
  The projection of this name, which any process may have made. Errors: `:no_projection`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :c}])
      iex> Rhizome.Graph.project!(graph, :today)
      iex> {:ok, today} = Rhizome.Graph.projection(store, :today)
      iex> Rhizome.Graph.Algorithms.wcc!(today, mode: :summary).components
      1

  Its `:ms` are `nil`.
  """
  @spec projection(Rhizome.store(), name :: term(), keyword()) :: Rhizome.result(Projection.t())
  defdelegate projection(store, name, options \\ []), to: Algorithms, as: :find_projection

  @doc "`projection/3` that returns the projection or raises the error."
  @spec projection!(Rhizome.store(), name :: term(), keyword()) :: Projection.t()
  def projection!(store, name, options \\ []), do: unwrap!(projection(store, name, options))

  @doc """
  Drops a named projection; one that is not there is no error. Runs that are under way go on.

  It takes the projection, or, as `drop_projection(store, name)`, its store and its name.
  """
  @spec drop_projection(Projection.t()) :: :ok | {:error, Error.t()}
  def drop_projection(projection), do: Algorithms.drop_projection(projection, [])

  @doc "`drop_projection/1` with options, or of a store and a name."
  @spec drop_projection(Projection.t(), keyword()) :: :ok | {:error, Error.t()}
  @spec drop_projection(Rhizome.store(), name :: term()) :: :ok | {:error, Error.t()}
  def drop_projection(%Projection{} = projection, options) do
    Algorithms.drop_projection(projection, options)
  end

  def drop_projection(store, name), do: Algorithms.drop_projection(store, name, [])

  @doc "`drop_projection/2` of a store and a name with options."
  @spec drop_projection(Rhizome.store(), name :: term(), keyword()) :: :ok | {:error, Error.t()}
  def drop_projection(store, name, options) do
    Algorithms.drop_projection(store, name, options)
  end

  @doc """
  What a run would need, without running it: a map of `:vertices`, `:edges`,
  `:projection_bytes`, `:run_bytes`, and `:cached`, whether the projection is there already.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :c}])
      iex> Rhizome.Graph.estimate(graph, :page_rank).vertices
      3

  """
  @spec estimate(source() | Projection.t(), algorithm :: atom(), keyword()) :: map()
  defdelegate estimate(source, algorithm, options \\ []), to: Algorithms

  @doc """
  Runs an algorithm over a whole graph: see `Rhizome.Graph.Algorithms`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :a}, {:c, :d}])
      iex> {:ok, components} = Rhizome.Graph.run(graph, :wcc)
      iex> Enum.map(components, fn {vertex, _component} -> vertex end)
      [:a, :b, :c, :d]

  ## Options

  Those of the algorithm, and

  #{Options.docs(:run)}
  """
  @spec run(source() | Projection.t(), algorithm :: atom(), keyword()) ::
          Rhizome.result(Result.t() | map())
  defdelegate run(source, algorithm, options \\ []), to: Algorithms

  @doc "`run/3` that returns the result or raises the error."
  @spec run!(source() | Projection.t(), algorithm :: atom(), keyword()) :: Result.t() | map()
  def run!(source, algorithm, options \\ []), do: unwrap!(run(source, algorithm, options))

  @doc """
  Gives a result back. It is sent and not waited for, and right for one that is gone already.
  """
  @spec release(Result.t()) :: :ok
  defdelegate release(result), to: Result

  ## Consolidation

  @doc """
  Contracts vertices into one, a *super-vertex*, which takes over their edges.

  The members leave the graph. Their edges to others become edges of the super-vertex; where
  several become one, because they have the other end, the label and the direction in common,
  the option `:edges` says what its value is. What was there is kept, and `expand/3` brings it back.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:a, :x, nil, 2}, {:b, :x, nil, 3}])
      iex> before = Rhizome.Graph.digest(graph)
      iex> Rhizome.Graph.contract!(graph, :ab, [:a, :b], edges: :sum, value: :count)
      iex> Enum.to_list(graph)
      [{:vertex, :x, nil, []}, {:vertex, :ab, 2, []}, {:edge, :ab, :x, nil, 5}]
      iex> Rhizome.Graph.expand!(graph, :ab)
      iex> Rhizome.Graph.digest(graph) == before
      true

  ## Options

  #{Options.docs(:contract)}
  """
  @spec contract(t(), vertex(), Enumerable.t(), keyword()) :: Rhizome.mutated(Change.t())
  def contract(graph, super_vertex, members, options \\ []) do
    options = Options.validate!(options, :contract)
    Rhizome.mutate(Op.contract(graph, super_vertex, members, options), graph, options)
  end

  @doc "`contract/4` that returns the change or raises the error."
  @spec contract!(t(), vertex(), Enumerable.t(), keyword()) :: Change.t()
  def contract!(graph, super_vertex, members, options \\ []) do
    unwrap!(contract(graph, super_vertex, members, options))
  end

  @doc """
  The vertices that a super-vertex stands for, or `nil` if a vertex stands for itself.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edge!(graph, :a, :b)
      iex> Rhizome.Graph.contract!(graph, :ab, [:a, :b])
      iex> Rhizome.Graph.contracted(graph, :ab)
      [:a, :b]

  ## Options

  #{Options.docs(:read)}
  """
  @spec contracted(t(), vertex(), keyword()) :: [vertex()] | nil
  def contracted(graph, vertex, options \\ []) do
    case ask!(graph, {:contracted, name!(graph), vertex}, options) do
      {members, _edges} -> for member <- members, do: elem(member, 0)
      :none -> nil
    end
  end

  @doc """
  Undoes `contract/4`: the members come back with all that they had, and what was put at the
  super-vertex since goes. The outcome is how many there were.

  Errors: `:not_found` if it stands for no others; `:no_vertex` if the other end of an edge is
  not there any more. Of two super-vertices that were neighbours before they were contracted, the
  one that was contracted last is expanded first.
  """
  @spec expand(t(), vertex(), keyword()) :: Rhizome.mutated(Change.t())
  def expand(graph, super_vertex, options \\ []) do
    Rhizome.mutate(Op.expand(graph, super_vertex), graph, options)
  end

  @doc "`expand/3` that returns the change or raises the error."
  @spec expand!(t(), vertex(), keyword()) :: Change.t()
  def expand!(graph, super_vertex, options \\ []),
    do: unwrap!(expand(graph, super_vertex, options))

  @doc """
  Contracts each group of a result (components, communities) into one vertex, all in one
  commit.

  It returns how many vertices were contracted into how many, as a map of `:groups`,
  `:members`, `:super_vertices` (a list) and `:seq`. Where groups are neighbours, `expand/3`
  undoes this from the last to the first.

  The result is of the graph as it was when it was computed, and the graph may be in use. If
  it does not have the same elements any more (their digests differ), or something of it changes until
  this is committed, the answer is a `:conflict`, and nothing is done: its details have the
  `:table`, and of the former the seq of the result as `:expected` and that of the store as `:seq`.
  Changes of other tables are no conflict, and neither is one that was undone.

  It takes results that name a group of each vertex, all of their rows: those of `wcc`, `scc`,
  `cdlp`, `louvain`, `leiden`, `k_core` and `k1_coloring`. Those of others, and of the first rows
  of an order (`order: {column, :desc, n}`), raise `ArgumentError`.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edges!(graph, [{:a, :b}, {:b, :a}, {:b, :c}, {:c, :d}])
      iex> {:ok, result} = Rhizome.Graph.Algorithms.scc(graph)
      iex> {:ok, done} = Rhizome.Graph.contract_all(graph, result, name: fn _group, members -> {:cycle, members} end)
      iex> {done.groups, done.members}
      {1, 2}
      iex> Enum.to_list(Rhizome.Graph.vertices(graph))
      [:c, :d, {:cycle, [:a, :b]}]

  Instead of a result it takes a list of `{super_vertex, members}`, which is of no state.

  ## Options

    * `:name` - What a super-vertex is called: a function of what the result has for the
      group, and its members. Defaults to `{:group, group}`.
    * `:min_members` - The least members that a group has to have. Defaults to `2`.
  #{Options.docs(:contract_rules)}
    * `:timeout` - As of all calls, for each request.
  """
  @spec contract_all(t(), Result.t() | [{vertex(), [vertex()]}], keyword()) ::
          Rhizome.result(map())
  defdelegate contract_all(graph, groups, options \\ []), to: Contraction

  @doc "`contract_all/3` that returns the map or raises the error."
  @spec contract_all!(t(), Result.t() | [{vertex(), [vertex()]}], keyword()) :: map()
  def contract_all!(graph, groups, options \\ []),
    do: unwrap!(contract_all(graph, groups, options))

  ## Pictures and files

  @doc """
  A graph, or what `subgraph/3` has returned, in the language of Graphviz.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edge!(graph, :ann, "Bob", label: :knows)
      iex> Rhizome.Graph.to_dot(graph) =~ "n0 -> n1"
      true

  which is

  ```
  digraph {
    n0 [label=":ann"];
    n1 [label="Bob"];
    n0 -> n1 [label=":knows"];
  }
  ```

  It is one binary: for large graphs take a part of it, or `rhizome export`.

  ## Options

  #{Options.docs(:picture)}
  """
  @spec to_dot(t() | {[vertex_element()], [edge_element()]}, keyword()) :: String.t()
  defdelegate to_dot(graph, options \\ []), to: Dot

  @doc """
  The same for Mermaid, which Markdown on many sites shows.

      iex> {:ok, store} = Rhizome.start_link()
      iex> graph = Rhizome.create_table!(store, :g, :graph)
      iex> Rhizome.Graph.put_edge!(graph, :ann, "Bob", label: :knows)
      iex> Rhizome.Graph.to_mermaid(graph) =~ "n0 -->"
      true

  which is

  ```
  flowchart LR
    n0["#colon;ann"]
    n1["Bob"]
    n0 -->|"#colon;knows"| n1
  ```

  ## Options

  #{Options.docs(:picture)}
  """
  @spec to_mermaid(t() | {[vertex_element()], [edge_element()]}, keyword()) :: String.t()
  defdelegate to_mermaid(graph, options \\ []), to: Dot

  @doc """
  Reads a file of edges, or of vertices and edges, into a graph. See `Rhizome.Graph.Files`.
  """
  @spec import_file(t(), Path.t(), keyword()) :: Rhizome.result(map())
  defdelegate import_file(graph, path, options \\ []), to: Files

  @doc "Writes a graph to a file. See `Rhizome.Graph.Files`."
  @spec export_file(t(), Path.t(), keyword()) :: Rhizome.result(map())
  defdelegate export_file(graph, path, options \\ []), to: Files

  ## Helpers

  defp pages(graph, kind, options, labelled?) do
    name = name!(graph)
    options = Options.validate!(options, :elements)

    pages = %Pages{
      target: Version.target(graph.store, options),
      op: &{kind, name, &1, &2},
      from: :none,
      about: %{table: name},
      timeout: options[:timeout],
      limits: Scan.limits(options),
      page_size: options.page_size,
      left: Map.get(options, :limit, :infinity)
    }

    case options do
      %{label: label} ->
        found = Stream.filter(Pages.stream(%{pages | left: :infinity}), &labelled?.(&1, label))
        if pages.left == :infinity, do: found, else: Stream.take(found, pages.left)

      _any ->
        Pages.stream(pages)
    end
  end

  # A read that takes no time worth watching; `options` as a map are validated.
  defp ask!(graph, op, []), do: unwrap!(Client.request(graph.store, op, nil))

  defp ask!(graph, op, options) when is_list(options) do
    ask!(graph, op, Options.validate!(options, :read))
  end

  defp ask!(graph, op, options) do
    unwrap!(Client.request(Version.target(graph.store, options), op, options[:timeout]))
  end

  defp name!(graph), do: Table.check_graph!(graph).name

  defp vertex_label!(%{label: nil}) do
    raise ArgumentError, "nil is no label of a vertex"
  end

  defp vertex_label!(_other), do: :ok

  # Of those that count, or look.
  defp label(%{label: label}), do: label
  defp label(_any), do: :any

  defp both(options),
    do: if(is_list(options), do: Keyword.put_new(options, :direction, :both), else: options)

  # These functions are named after their direction.
  defp direction(options, direction) do
    if Keyword.has_key?(options, :direction) do
      raise ArgumentError, "option :direction is not for this function, which is of one"
    end

    [direction: direction] ++ options
  end

  defp or_nil(:none), do: nil
  defp or_nil(answer), do: answer

  defp unwrap!(:ok), do: :ok
  defp unwrap!({:ok, result}), do: result
  defp unwrap!({:error, error}), do: raise(error)
end
